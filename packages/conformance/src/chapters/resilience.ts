import assert from 'node:assert/strict';
import { type BusEvents, CircuitOpenError, ConnectionError, SerializationError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { groupInfo, settled, standingGroup } from '../helpers/groups.ts';
import { rejection } from '../helpers/rejection.ts';
import { distinct, numbers } from '../helpers/sequence.ts';
import { wrapBroker } from '../helpers/wrapped-broker.ts';

/** Longer than any case runs. */
const NEVER = 600_000;

const patient = { maxRetries: 1_000, delays: [20] };

const consuming: readonly Case[] = [
  {
    id: 'resilience/breaker-pauses',
    name: 'an open breaker pauses consumption: no handler starts, nothing is nacked, all that waits stays untouched',
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead } });
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(50).map((data) => ({ topic, data })));
      let tried = 0;
      const opened: BusEvents['circuit_breaker.opened'][] = [];
      bus.on('circuit_breaker.opened', (event) => opened.push(event));
      await bus.subscribe(
        topic,
        () => {
          tried++;
          throw new Error('dependency down');
        },
        { group, retry: patient, circuitBreaker: { failureThreshold: 3, recoveryTimeout: NEVER } },
      );
      await t.until('it opened', () => opened.length === 1);
      await bus.publish(topic, 50);
      await t.quiet('no handler starts', () => tried === 3);
      assert.equal(opened[0]!.topic, topic);
      assert.equal(opened[0]!.group, group);
      assert.equal(opened[0]!.side, 'subscribe');
      assert.equal((opened[0]!.error as Error).message, 'dependency down');
      await t.until('their retries are confirmed', () => bus.stats().retried === 3);
      const stats = bus.stats();
      assert.equal(stats.retried, 3);
      assert.equal(stats.deadLettered, 0);
      assert.equal(stats.waiting, 0);
      const info = await groupInfo(bus, topic, group);
      if (info !== undefined) assert.equal(info.depth, 51);
      // Another member with a dependency that works takes over, and sees what was never tried as new.
      const other = await t.bus();
      const got = t.collector<number>();
      await other.subscribe<number>(topic, got.handle, { group });
      await t.until('the other has all', () => distinct(got.data).length === 51);
      assert.equal(got.messages.filter(({ attempt }) => attempt > 1).length, 3);
    },
  },
  {
    id: 'resilience/breaker-half-open',
    name: 'after its time a breaker lets as many trials through as it may; a failure opens it again, success closes it',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(30).map((data) => ({ topic, data })));
      let isDown = true;
      let state = 'closed';
      let [trials, most] = [0, 0];
      const story: string[] = [];
      for (const name of ['opened', 'half_opened', 'closed'] as const) {
        bus.on(`circuit_breaker.${name}`, (event) => {
          assert.equal(event.topic, topic);
          story.push(name);
          state = name;
          trials = 0;
        });
      }
      const handled: number[] = [];
      await bus.subscribe(
        topic,
        async ({ data }) => {
          if (state === 'half_opened') most = Math.max(most, ++trials);
          await new Promise((resolve) => setImmediate(resolve));
          if (isDown) throw new Error('down');
          handled.push(data);
        },
        {
          group,
          concurrency: 10,
          retry: patient,
          circuitBreaker: { failureThreshold: 1, recoveryTimeout: 60, halfOpenRequests: 2 },
        },
      );
      await t.until('it opened three times', () => story.filter((one) => one === 'opened').length >= 3);
      isDown = false;
      await t.until('all were handled', () => distinct(handled).length === 30);
      assert.ok(story.includes('closed'), 'it closed');
      assert.ok(most >= 1 && most <= 2, `${most} trials at a time`);
      // No state is left out: each opening is followed by trials, and only trials close it.
      assert.match(story.join(' '), /^(opened half_opened )+closed$/);
      await settled(t, bus, topic, group);
    },
  },
  {
    id: 'resilience/breaker-resets',
    name: 'a success between failures starts the count anew',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector<number>();
      let opened = 0;
      bus.on('circuit_breaker.opened', () => opened++);
      await bus.subscribe<number>(
        topic,
        (message) => {
          if (message.data % 3 !== 0 && message.attempt === 1) throw new Error('first time');
          got.handle(message);
        },
        {
          group: t.name(),
          retry: { delays: [200] },
          circuitBreaker: { failureThreshold: 3, recoveryTimeout: NEVER },
        },
      );
      for (const n of numbers(12)) await bus.publish(topic, n, { key: 'order' });
      await t.until('all were handled', () => distinct(got.data).length === 12);
      assert.equal(opened, 0);
    },
  },
  {
    id: 'resilience/breaker-by-subscription',
    name: 'each subscription has its own breaker, and can do without the one of the bus',
    async run(t) {
      const bus = await t.bus({
        circuitBreaker: { failureThreshold: 1, recoveryTimeout: NEVER },
        retry: patient,
      });
      const topic = t.topic();
      const opened: (string | undefined)[] = [];
      bus.on('circuit_breaker.opened', ({ group }) => opened.push(group));
      let [broken, without] = [0, 0];
      const got = t.collector<number>();
      await bus.subscribe(
        topic,
        () => {
          broken++;
          throw new Error('broken');
        },
        { group: t.name('broken') },
      );
      await bus.subscribe(
        topic,
        ({ attempt }) => {
          without++;
          if (attempt < 3) throw new Error('not yet');
        },
        { group: t.name('without'), circuitBreaker: false },
      );
      await bus.subscribe<number>(topic, got.handle, { group: t.name('fine') });
      for (const n of numbers(5)) await bus.publish(topic, n);
      await t.until('the fine one has all', () => got.data.length === 5);
      await t.until('the one without goes on', () => without === 15);
      assert.equal(broken, 1);
      assert.deepEqual(opened, [t.name('broken')]);
    },
  },
  {
    id: 'resilience/breaker-live',
    name: 'the breaker of a live subscription loses nothing while it is open',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      let isDown = true;
      const handled: number[] = [];
      let opened = 0;
      bus.on('circuit_breaker.opened', () => opened++);
      await bus.subscribe(
        topic,
        ({ data }) => {
          if (isDown) throw new Error('down');
          handled.push(data);
        },
        { retry: patient, circuitBreaker: { failureThreshold: 1, recoveryTimeout: 80 } },
      );
      for (const n of numbers(20)) await bus.publish(topic, n);
      await t.until('it opened', () => opened > 0);
      isDown = false;
      await t.until('all were handled', () => handled.length === 20);
      assert.deepEqual(distinct(handled), numbers(20));
    },
  },
];

const publishing: readonly Case[] = [
  {
    id: 'resilience/breaker-on-publish',
    name: 'a breaker on publish fails at once while open, by topic; trials close it again',
    async run(t) {
      let isDown = false;
      let calls = 0;
      const failing = t.topic('failing');
      const broker = wrapBroker(await t.create(), (own) => ({
        publish(records, deadline) {
          if (!records.some(({ topic }) => topic === failing)) return own.publish(records, deadline);
          calls++;
          return isDown ? Promise.reject(new ConnectionError('no server')) : own.publish(records, deadline);
        },
      }));
      const circuitBreaker = { failureThreshold: 3, recoveryTimeout: 150, halfOpenRequests: 2 };
      const bus = await t.bus({ broker, circuitBreaker });
      const story: string[] = [];
      for (const name of ['opened', 'half_opened', 'closed'] as const) {
        bus.on(`circuit_breaker.${name}`, ({ topic, side }) => story.push(`${name} ${topic} ${side}`));
      }
      // What the caller does wrong says nothing about the server.
      for (let n = 0; n < 5; n++) {
        await rejection(SerializationError, () => bus.publish(failing, () => {}));
      }
      isDown = true;
      for (let n = 0; n < 3; n++) await rejection(ConnectionError, () => bus.publish(failing, 1));
      assert.equal(calls, 3);
      const error = await rejection(CircuitOpenError, () => bus.publish(failing, 1), failing);
      assert.equal(error.topic, failing);
      assert.equal(error.retryable, true);
      assert.equal(calls, 3);
      await bus.publish(t.topic('other'), 1);
      await t.until('it tries again', () => story.length === 2);
      await rejection(ConnectionError, () => bus.publish(failing, 1));
      await rejection(CircuitOpenError, () => bus.publish(failing, 1));
      isDown = false;
      await t.until('it tries again', () => story.length === 4);
      await bus.publish(failing, 1);
      await bus.publish(failing, 2);
      await bus.publish(failing, 3);
      assert.deepEqual(
        story,
        ['opened', 'half_opened', 'opened', 'half_opened', 'closed'].map(
          (name) => `${name} ${failing} publish`,
        ),
      );
    },
  },
];

/** Circuit breakers. */
export const resilience: readonly Case[] = chapter('resilience', [...consuming, ...publishing]);
