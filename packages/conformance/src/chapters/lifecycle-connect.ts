import assert from 'node:assert/strict';
import { BusError, ConnectionError, TimeoutError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { rejection } from '../helpers/rejection.ts';
import { numbers } from '../helpers/sequence.ts';
import { wrapBroker } from '../helpers/wrapped-broker.ts';

/** Milliseconds that a bus may take to say that it cannot connect, beyond its `connectTimeout`. */
const SLACK = 3_000;

/** Every first use of a bus that cannot connect fails with a typed error, soon, and leaves nothing behind. */
async function cannotConnect(t: CaseContext, create: () => unknown): Promise<BusError[]> {
  const connectTimeout = 2_000;
  const uses = [
    (bus: Awaited<ReturnType<typeof t.bus>>) => bus.connect(),
    (bus: Awaited<ReturnType<typeof t.bus>>) => bus.publish(t.topic(), 1),
    (bus: Awaited<ReturnType<typeof t.bus>>) => bus.subscribe(t.topic(), () => {}, { group: t.name() }),
  ];
  const errors: BusError[] = [];
  for (const use of uses) {
    const broker = (await create()) as Awaited<ReturnType<typeof t.create>>;
    const bus = await t.bus({ broker, connectTimeout, publishTimeout: connectTimeout });
    const start = performance.now();
    const error = await rejection(BusError, () => use(bus));
    const took = performance.now() - start;
    assert.ok(took < connectTimeout + SLACK, `it took ${took} ms`);
    assert.ok(ConnectionError.is(error) || TimeoutError.is(error), `${error.name}: ${error.message}`);
    errors.push(error);
    await bus.close();
  }
  return errors;
}

/** The beginning of a bus. */
export const lifecycleConnect: readonly Case[] = chapter('lifecycle', [
  {
    id: 'lifecycle/connect-once',
    name: 'a bus connects with its first use, once, however many come at the same time',
    async run(t) {
      let connects = 0;
      const broker = wrapBroker(await t.create(), (own) => ({
        connect(host) {
          connects++;
          return own.connect(host);
        },
      }));
      const bus = await t.bus({ broker });
      let events = 0;
      bus.on('connected', () => events++);
      assert.equal(connects, 0);
      const topic = t.topic();
      const publishes = numbers(20).map((n) => bus.publish(topic, n));
      const subscriptions = numbers(3).map((n) => bus.subscribe(topic, () => {}, { group: t.name(`g${n}`) }));
      await Promise.all([...publishes, ...subscriptions, bus.connect(), bus.connect()]);
      await bus.connect();
      assert.equal(connects, 1);
      assert.equal(events, 1);
    },
  },
  {
    id: 'lifecycle/connect-again',
    name: 'a failed connect is reported, and the next use tries again',
    async run(t) {
      let fails = 2;
      const broker = wrapBroker(await t.create(), (own) => ({
        async connect(host) {
          if (fails-- > 0) throw new ConnectionError('not yet');
          await own.connect(host);
        },
      }));
      const bus = await t.bus({ broker });
      await rejection(ConnectionError, () => bus.connect(), 'not yet');
      await rejection(ConnectionError, () => bus.publish(t.topic(), 1), 'not yet');
      await bus.publish(t.topic(), 1);
    },
  },
  {
    id: 'lifecycle/connect-wrapped-errors',
    name: 'what a driver throws reaches the caller as an error of the bus, with its cause',
    async run(t) {
      const cause = new Error('ECONNREFUSED');
      const broker = wrapBroker(await t.create(), () => ({ connect: () => Promise.reject(cause) }));
      const bus = await t.bus({ broker });
      const error = await rejection(ConnectionError, () => bus.connect(), 'ECONNREFUSED');
      assert.equal(error.cause, cause);
      assert.equal(error.broker, t.broker);
      const failing = wrapBroker(await t.create(), () => ({
        publish: () => Promise.reject(cause),
        subscribe: () => Promise.reject(cause),
      }));
      const other = await t.bus({ broker: failing });
      const topic = t.topic();
      assert.equal((await rejection(BusError, () => other.publish(topic, 1))).cause, cause);
      assert.equal((await rejection(BusError, () => other.publish(topic, 1))).topic, topic);
      assert.equal((await rejection(BusError, () => other.subscribe(topic, () => {}))).cause, cause);
      assert.equal(other.stats().subscriptions, 0);
    },
  },
  {
    id: 'lifecycle/run',
    name: 'run connects, and resolves when its signal fired and the bus is closed, or when somebody closed it',
    async run(t) {
      const bus = await t.bus();
      let closed = 0;
      bus.on('closed', () => closed++);
      const controller = new AbortController();
      const running = bus.run({ signal: controller.signal, signals: [] });
      const topic = t.topic();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group: t.name() });
      await bus.publish(topic, 1);
      await t.until('it works', () => got.data.length === 1);
      controller.abort();
      await running;
      assert.equal(closed, 1);
      const other = await t.bus();
      const waiting = other.run({ signals: [] });
      await other.connect();
      await other.close();
      await waiting;
    },
  },
  {
    id: 'lifecycle/nowhere',
    name: 'a bus whose server is not there says so, soon and typed, and can be closed',
    power: ['nowhere'],
    timeout: 60_000,
    async run(t) {
      const errors = await cannotConnect(t, () => t.server.nowhere!.create());
      assert.ok(errors.every(({ retryable }) => retryable));
    },
  },
  {
    id: 'lifecycle/wrong-password',
    name: 'wrong credentials are refused, soon and typed, as nothing that another try would help; no secret is shown',
    power: ['credentials'],
    timeout: 60_000,
    async run(t) {
      const errors = await cannotConnect(t, () => t.server.credentials!.createWrong());
      assert.ok(errors.every(({ retryable }) => !retryable));
      const shown = [
        ...errors.map((error) => `${error.message} ${error.stack}`),
        ...t.log.map((one) => JSON.stringify(one)),
      ];
      for (const text of shown) assert.doesNotMatch(text, /wrong-secret/);
    },
  },
  {
    id: 'lifecycle/wrong-tls',
    name: 'a certificate that is not trusted is refused, soon and typed, as nothing that another try would help',
    power: ['tls'],
    timeout: 60_000,
    async run(t) {
      const errors = await cannotConnect(t, () => t.server.tls!.createUntrusted());
      assert.ok(errors.every(({ retryable }) => !retryable));
    },
  },
]);
