import assert from 'node:assert/strict';
import { type Bus, ClosedError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { rejection } from '../helpers/rejection.ts';
import { numbers } from '../helpers/sequence.ts';
import { untilAborted } from '../helpers/until-aborted.ts';

/** A bus that is closed, or about to be. */
export const lifecycleClosed: readonly Case[] = chapter('lifecycle', [
  {
    id: 'lifecycle/close-twice',
    name: 'close may be called again, at once from ten places, and before anything was connected',
    async run(t) {
      const bus = await t.bus();
      let closed = 0;
      bus.on('closed', () => closed++);
      await bus.subscribe(t.topic(), () => {}, { group: t.name() });
      await Promise.all(numbers(10).map(() => bus.close()));
      await bus.close();
      assert.equal(closed, 1);
      const unused = await t.bus();
      await unused.close();
      await unused.close();
    },
  },
  {
    id: 'lifecycle/close-while-publishing',
    name: 'close ends although the program goes on publishing; what was accepted is stored, the rest is refused',
    async run(t) {
      const topic = t.topic();
      // It publishes as fast as it can, and what is read is read slower.
      const topics = { [topic]: { retention: { maxMessages: 1_000_000 } } };
      const [bus, other] = [await t.bus({ topics }), await t.bus({ topics })];
      const got = t.collector<number>();
      await other.subscribe<number>(topic, got.handle);
      const accepted: number[] = [];
      const refusals: unknown[] = [];
      let [sent, going] = [0, true];
      const publishing = (async () => {
        while (going) {
          const data = sent++;
          bus.publish(topic, data).then(
            () => accepted.push(data),
            (error: unknown) => refusals.push(error),
          );
          await new Promise((resolve) => setImmediate(resolve));
        }
      })();
      await t.until('it publishes', () => accepted.length > 10);
      await bus.close({ timeout: 100 });
      await t.until('the rest is refused', () => refusals.length > 0);
      going = false;
      await publishing;
      assert.ok(refusals.every(ClosedError.is));
      await t.until('what was accepted came', () => accepted.every((data) => got.data.includes(data)));
    },
  },
  {
    id: 'lifecycle/close-last-attempt',
    name: 'a message that was aborted by a close at its last attempt is tried by another, not given up',
    async run(t) {
      const dead = t.topic('dead');
      const [bus, other] = [await t.bus(), await t.bus({ deadLetter: { topic: dead } })];
      const [topic, group] = [t.topic(), t.name()];
      const letters = t.collector();
      await other.subscribe(dead, letters.handle);
      let running = 0;
      await bus.subscribe(
        topic,
        ({ signal }) => {
          running++;
          return untilAborted(signal);
        },
        { group, retry: false },
      );
      await bus.publish(topic, 'x');
      await t.until('it runs', () => running === 1);
      await bus.close({ timeout: 20 });
      const got = t.collector();
      await other.subscribe(topic, got.handle, { group, retry: false });
      await t.until('it came again', () => got.data.length === 1);
      assert.deepEqual(letters.data, []);
    },
  },
  {
    id: 'lifecycle/close-while-busy',
    name: 'a bus that is closed while it connects, subscribes, publishes or asks ends in good order',
    async run(t) {
      const topic = t.topic();
      const starts = [
        (bus: Awaited<ReturnType<typeof t.bus>>) => bus.connect(),
        (bus: Awaited<ReturnType<typeof t.bus>>) => bus.subscribe(topic, () => {}, { group: t.name() }),
        (bus: Awaited<ReturnType<typeof t.bus>>) => bus.subscribe(topic, () => {}),
        (bus: Awaited<ReturnType<typeof t.bus>>) => bus.publish(topic, 1),
        (bus: Awaited<ReturnType<typeof t.bus>>) => bus.receive(topic, { group: t.name(), timeout: 60_000 }),
      ];
      for (const start of starts) {
        for (const ticks of [0, 1, 3]) {
          const bus = await t.bus();
          const [started] = [Promise.allSettled([start(bus)])];
          for (let n = 0; n < ticks; n++) await Promise.resolve();
          await bus.close();
          const [outcome] = await started;
          if (outcome!.status === 'rejected')
            assert.ok(ClosedError.is(outcome!.reason), String(outcome!.reason));
          await rejection(ClosedError, () => bus.publish(topic, 1));
        }
      }
    },
  },
  {
    id: 'lifecycle/close-while-asking',
    name: 'what is asked of the server while a bus closes is answered or refused, and no error is left over',
    needs: ['admin'],
    async run(t) {
      const first = await t.bus();
      const [topic, groups] = [t.topic(), numbers(3).map(() => t.name())];
      for (const group of groups) await first.admin.ensureGroup(topic, group, 'new');
      await first.publishMany(numbers(10).map((n) => ({ topic, data: n, key: String(n) })));
      const ask = ({ admin, deadLetters, capabilities }: Bus): Promise<unknown>[] => [
        admin.listTopics(),
        admin.listGroups(),
        ...groups.map((group) => admin.group(topic, group)),
        admin.ensureTopic(t.topic('new')),
        admin.ensureGroup(topic, t.name(), 'new'),
        admin.deleteGroup(topic, t.name()),
        admin.purge(t.topic('purged')),
        ...(capabilities.browse === 'none' ? [] : [deadLetters.list(), deadLetters.get('x')]),
      ];
      for (const turns of numbers(16)) {
        const bus = await t.bus();
        await bus.connect();
        const asked = Promise.allSettled(ask(bus));
        // Into each stage of the work, of which the first ones are the shortest.
        for (let turn = 0; turn < turns ** 2; turn++) await new Promise((resolve) => setImmediate(resolve));
        await bus.close({ timeout: 0 });
        for (const answer of await asked) {
          if (answer.status === 'rejected') assert.ok(ClosedError.is(answer.reason), String(answer.reason));
        }
      }
    },
  },
  {
    id: 'lifecycle/use-after-close',
    name: 'every call after the close is refused as closed',
    async run(t) {
      const bus = await t.bus();
      await bus.connect();
      await bus.close();
      const topic = t.topic();
      const group = t.name();
      const calls: (() => unknown)[] = [
        () => bus.connect(),
        () => bus.publish(topic, 1),
        () => bus.publishMany([{ topic, data: 1 }]),
        () => bus.publishMany([]),
        () => bus.subscribe(topic, () => {}, { group }),
        () => bus.stream(topic, { group }).next(),
        () => bus.receive(topic, { group }),
        () => bus.run(),
      ];
      if (t.capabilities.request !== 'none') {
        calls.push(
          () => bus.request(topic, 1),
          () => bus.scatter(topic, 1),
          () => bus.requestFirst([topic], 1),
          () => bus.respond(topic, () => 1),
        );
      }
      if (t.capabilities.cancel !== 'none') calls.push(() => bus.cancel({ id: 'x', topic }));
      if (t.capabilities.browse !== 'none') {
        calls.push(
          () => bus.deadLetters.list(),
          () => bus.deadLetters.get('x'),
          () => bus.deadLetters.replay({}),
          () => bus.deadLetters.discard({}),
        );
      }
      if (t.capabilities.admin !== 'none') calls.push(() => bus.admin.listTopics());
      for (const call of calls) await rejection(ClosedError, call);
    },
  },
  {
    id: 'lifecycle/dispose',
    name: '"await using" closes the bus, and ends a subscription, at the end of its block',
    async run(t) {
      const topic = t.topic();
      const outer = await t.bus();
      {
        await using bus = await t.bus();
        await bus.publish(topic, 1);
        await using subscription = await outer.subscribe(topic, () => {}, { group: t.name() });
        assert.equal(subscription.pattern, topic);
        assert.equal(outer.stats().subscriptions, 1);
        t.cleanup(() => rejection(ClosedError, () => bus.publish(topic, 1)));
      }
      assert.equal(outer.stats().subscriptions, 0);
    },
  },
]);
