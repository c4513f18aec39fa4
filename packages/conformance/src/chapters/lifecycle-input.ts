import assert from 'node:assert/strict';
import { type Bus, type BusError, ConfigError, createBus, ValidationError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { standingGroup } from '../helpers/groups.ts';
import { rejection } from '../helpers/rejection.ts';
import {
  BAD_PATTERNS,
  BAD_TOPICS,
  BUS,
  count,
  group,
  milliseconds,
  PUBLISH,
  RECEIVE,
  REQUEST,
  RESPOND,
  SUBSCRIBE,
  signal,
  text,
  type Wrong,
} from '../helpers/wrong-values.ts';

type Call = (options: Record<string, unknown>) => unknown;

/** Each wrong value is refused with the option's name in the error, and an option that does not exist by its own name. */
async function refuses(
  call: Call,
  wrong: Wrong,
  Kind: { readonly name: string; is(error: unknown): error is BusError } = ValidationError,
): Promise<void> {
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      try {
        await rejection(Kind, () => soon(call({ [name]: value })), `"${name}"`);
      } catch (error) {
        throw new Error(`option "${name}" with ${show(value)}: ${(error as Error).message}`, {
          cause: error,
        });
      }
    }
  }
  for (const name of ['priorty', 'constructor', '__proto__x', 'toString']) {
    await rejection(Kind, () => call({ [name]: 1 }), `"${name}"`);
  }
}

/** What is no options at all. */
const NO_OPTIONS = [5, 'options', null, []] as const;

/** A call that waits for something has not refused its input. */
async function soon(work: unknown): Promise<unknown> {
  return Promise.race([work, new Promise((resolve) => setTimeout(resolve, 5_000, 'it waits'))]);
}

function show(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** A case in which wrong calls are refused, and after which nothing has been sent and nothing is subscribed. */
function refusal(
  id: string,
  name: string,
  attempt: (bus: Bus, topic: string, t: CaseContext) => Promise<void>,
  needs: Case['needs'] = [],
): Case {
  return {
    id,
    name,
    needs,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name('watch');
      await standingGroup(bus, topic, group);
      await attempt(bus, topic, t);
      assert.equal(bus.stats().published, 0);
      assert.equal(bus.stats().subscriptions, 0);
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group });
      await bus.publish(topic, 'marker');
      await t.until('the marker came', () => got.data.length > 0);
      assert.deepEqual(got.data, ['marker']);
    },
  };
}

const calls: readonly Case[] = [
  refusal(
    'lifecycle/refuses-publish',
    'publish refuses each wrong option, topic and payload by name',
    async (bus, topic) => {
      await refuses((options) => bus.publish(topic, 1, options), PUBLISH);
      for (const bad of NO_OPTIONS)
        await rejection(ValidationError, () => bus.publish(topic, 1, bad as never), 'options');
      for (const bad of BAD_TOPICS)
        await rejection(ValidationError, () => bus.publish(bad as string, 1), 'topic');
      await rejection(ValidationError, () => bus.publishMany(5 as never), 'entries');
      await rejection(ValidationError, () => bus.publishMany([5] as never), 'entries');
    },
  ),
  refusal(
    'lifecycle/refuses-subscribe',
    'subscribe and stream refuse each wrong option, pattern and handler by name',
    async (bus, topic) => {
      await refuses((options) => bus.subscribe(topic, () => {}, options), SUBSCRIBE);
      const { ack: _, concurrency: __, ...forStreams } = SUBSCRIBE;
      await refuses((options) => bus.stream(topic, options).next(), forStreams);
      for (const name of ['ack', 'concurrency'])
        await rejection(
          ValidationError,
          () => soon(bus.stream(topic, { [name]: name === 'ack' ? 'manual' : 2 } as never).next()),
          `"${name}"`,
        );
      for (const bad of NO_OPTIONS)
        await rejection(ValidationError, () => bus.subscribe(topic, () => {}, bad as never), 'options');
      for (const bad of BAD_PATTERNS) {
        await rejection(ValidationError, () => bus.subscribe(bad as string, () => {}), 'pattern');
        await rejection(ValidationError, () => bus.stream(bad as string).next(), 'pattern');
      }
      for (const bad of [undefined, null, 5, {}, 'handler'])
        await rejection(ValidationError, () => bus.subscribe(topic, bad as never), 'handler');
      const small = { ack: { batch: 10 }, prefetch: 5 };
      await rejection(ValidationError, () => bus.subscribe(topic, () => {}, small), '"prefetch"');
    },
  ),
  refusal(
    'lifecycle/refuses-receive',
    'receive refuses each wrong option by name, and needs a group',
    async (bus, topic) => {
      const call: Call = (options) => bus.receive(topic, { group: 'g', ...options } as never);
      for (const [name, values] of Object.entries(RECEIVE)) {
        for (const value of values)
          await rejection(ValidationError, () => call({ [name]: value }), `"${name}"`);
      }
      await rejection(ValidationError, () => call({ tmeout: 5 }), '"tmeout"');
      for (const bad of [undefined, {}])
        await rejection(ValidationError, () => bus.receive(topic, bad as never), 'group');
      for (const bad of NO_OPTIONS) await rejection(ValidationError, () => bus.receive(topic, bad as never));
      for (const bad of BAD_PATTERNS)
        await rejection(ValidationError, () => bus.receive(bad as string, { group: 'g' }), 'pattern');
    },
  ),
  refusal(
    'lifecycle/refuses-requests',
    'request, scatter, requestFirst and respond refuse each wrong option by name',
    async (bus, topic) => {
      await refuses((options) => bus.request(topic, 1, options), REQUEST);
      const scatter = { ...REQUEST, min: [-1, 1.5, '1', null], max: count };
      await refuses((options) => bus.scatter(topic, 1, options), scatter);
      await rejection(ValidationError, () => bus.scatter(topic, 1, { min: 3, max: 2 }), '"max"');
      await refuses((options) => bus.requestFirst([topic], 1, options), REQUEST);
      await refuses((options) => bus.respond(topic, () => 1, options), RESPOND);
      for (const bad of NO_OPTIONS) {
        await rejection(ValidationError, () => bus.request(topic, 1, bad as never), 'options');
        await rejection(ValidationError, () => bus.scatter(topic, 1, bad as never), 'options');
        await rejection(ValidationError, () => bus.respond(topic, () => 1, bad as never), 'options');
      }
      for (const bad of BAD_TOPICS) {
        await rejection(ValidationError, () => bus.request(bad as string, 1), 'topic');
        await rejection(ValidationError, () => bus.scatter(bad as string, 1), 'topic');
        await rejection(ValidationError, () => bus.requestFirst([topic, bad as string], 1), 'topic');
      }
      await rejection(ValidationError, () => bus.requestFirst('a' as never, 1), 'topics');
      for (const bad of BAD_PATTERNS)
        await rejection(ValidationError, () => bus.respond(bad as string, () => 1), 'pattern');
      await rejection(ValidationError, () => bus.respond(topic, 5 as never), 'handler');
    },
    ['request'],
  ),
  refusal(
    'lifecycle/refuses-the-rest',
    'close, run, on, use and cancel refuse wrong input by name',
    async (bus, topic, t) => {
      await refuses((options) => bus.close(options), { timeout: milliseconds });
      await refuses((options) => bus.run(options), { timeout: milliseconds, signal, signals: [5, ['']] });
      for (const bad of ['message.publishd', '', 5])
        await rejection(ValidationError, () => bus.on(bad as 'connected', () => {}), 'event');
      await rejection(ValidationError, () => bus.on('connected', 5 as never), 'listener');
      for (const bad of [undefined, 5, {}, { publish: 5 }, { consume: {} }])
        await rejection(ValidationError, () => bus.use(bad as never), 'middleware');
      if (t.capabilities.admin !== 'none') {
        for (const call of ['ensureTopic', 'deleteTopic', 'purge'] as const)
          await rejection(ValidationError, () => bus.admin[call]('not a topic'), 'not a topic');
        await rejection(ValidationError, () => bus.admin.deleteGroup('a..b', 'g'), 'a..b');
        await rejection(ValidationError, () => bus.admin.ensureGroup(topic, 'a b', 'new'), 'a b');
        await rejection(ValidationError, () => bus.admin.ensureGroup(topic, 'g', 'start' as 'new'), 'start');
      }
      if (t.capabilities.browse !== 'none') {
        for (const bad of count)
          await rejection(ValidationError, () => bus.admin.browse(topic, undefined, bad as number), 'limit');
        await rejection(ValidationError, () => bus.admin.browse(topic, 5 as never, 1), 'cursor');
        await rejection(ValidationError, () => bus.admin.remove(topic, 'x' as never), 'positions');
      }
      if (t.capabilities.cancel === 'none') return;
      for (const bad of [undefined, null, 'id', {}, { id: 5, topic }, { id: 'x', topic: 'not a topic' }])
        await rejection(ValidationError, () => bus.cancel(bad as never));
    },
  ),
  refusal(
    'lifecycle/refuses-dead-letters',
    'the calls about dead letters refuse wrong input by name',
    async (bus) => {
      const filter: Wrong = {
        topic: ['not a topic', 5],
        group,
        reason: text,
        since: ['today', new Date(Number.NaN)],
        until: ['today', 5],
        where: [5, {}],
        deadLetterTopic: ['not a topic', 5, '*', 'dead.#'],
      };
      await refuses((options) => bus.deadLetters.list(options), {
        ...filter,
        limit: [...count, 1_001],
        cursor: [5],
      });
      await refuses((options) => bus.deadLetters.replay(options), filter);
      await refuses((options) => bus.deadLetters.discard(options), filter);
      await refuses((options) => bus.deadLetters.replay('x', options), {
        edit: [5, {}],
        deadLetterTopic: ['a b'],
      });
      for (const call of ['get', 'discard'] as const)
        await rejection(ValidationError, () => bus.deadLetters[call]('x', { topc: 'a' } as never), '"topc"');
      await rejection(ValidationError, () => bus.deadLetters.get('' as never), 'id');
      await rejection(ValidationError, () => bus.deadLetters.discard('unknown'), 'unknown');
      await rejection(ValidationError, () => bus.deadLetters.replay('unknown'), 'unknown');
    },
    ['browse'],
  ),
];

const settlements: Case = {
  id: 'lifecycle/refuses-settlement',
  name: 'settling a message with wrong input is refused by name, and settles nothing',
  async run(t) {
    const bus = await t.bus();
    const topic = t.topic();
    const got = t.collector();
    await bus.subscribe(topic, got.handle, { group: t.name(), ack: 'manual' });
    await bus.publish(topic, 1);
    await t.until('it came', () => got.messages.length === 1);
    const [message] = got.messages;
    for (const delay of milliseconds)
      await rejection(ValidationError, () => message!.nack({ delay: delay as number }), '"delay"');
    await rejection(ValidationError, () => message!.nack({ dealy: 5 } as never), '"dealy"');
    await rejection(ValidationError, () => message!.reject({ requeu: true } as never), '"requeu"');
    await rejection(ValidationError, () => message!.reject({ requeue: true, delay: -1 }), '"delay"');
    for (const reason of ['', 5, undefined])
      await rejection(ValidationError, () => message!.deadLetter(reason as string), 'reason');
    for (const duration of [0, -1, Number.NaN, '5'])
      await rejection(ValidationError, () => message!.extend(duration as number), 'extend');
    await rejection(ValidationError, () => message!.publish('not a topic', 1), 'topic');
    assert.equal(bus.stats().retried + bus.stats().deadLettered, 0);
    await message!.ack();
    await rejection(ValidationError, () => message!.nack(), 'settled');
    await message!.ack();
  },
};

const configuration: Case = {
  id: 'lifecycle/refuses-configuration',
  name: 'createBus refuses each wrong option by name, before it touches the server',
  async run(t) {
    const broker = await t.create();
    t.cleanup(() => broker.close());
    await refuses((options) => createBus({ broker, ...options } as never), BUS, ConfigError);
    for (const bad of NO_OPTIONS) await rejection(ConfigError, () => createBus(bad as never), 'options');
    await rejection(ConfigError, () => createBus({ broker, url: 'redis://user:hunter2@host' }), '"url"');
    await createBus({ broker, url: 'redis://user:hunter2@host' }).catch((error: Error) =>
      assert.doesNotMatch(error.message, /hunter2/),
    );
  },
};

/** Bad input, refused before it does harm. */
export const lifecycleInput: readonly Case[] = chapter('lifecycle', [...calls, settlements, configuration]);
