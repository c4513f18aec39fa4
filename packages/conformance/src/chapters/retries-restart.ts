import assert from 'node:assert/strict';
import type { Message } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { collectDeadLetters } from '../helpers/dead-letters.ts';
import { groupInfo, settled } from '../helpers/groups.ts';
import { hanging } from '../helpers/hang.ts';
import { listen } from '../helpers/listen.ts';

const NEEDS = ['retryDelay'] as const;

/** Milliseconds by which clocks and timers round. */
const ROUNDING = 2;

/** Retries wait outside the process. */
export const retriesRestart: readonly Case[] = chapter('retries', [
  {
    id: 'retries/due-while-down',
    name: 'a retry that is due while everything is down comes after the restart, once, with its attempt',
    needs: NEEDS,
    async run(t) {
      const topic = t.topic();
      const bus = await t.bus({ retry: { initialDelay: 150, jitter: 0 } });
      let failedAt = 0;
      await bus.subscribe(
        topic,
        () => {
          failedAt = Date.now();
          throw new Error('not yet');
        },
        { group: t.name() },
      );
      await bus.publish(topic, 'x', { headers: { a: 'b' } });
      await t.until('it failed', () => bus.stats().retried === 1);
      await bus.close();
      await t.until('it is due', () => Date.now() > failedAt + 250);
      const later = await t.bus();
      const got = await listen(t, later, topic);
      await t.until('it came', () => got.messages.length > 0);
      const [message] = got.messages;
      assert.deepEqual([message!.data, message!.attempt, message!.headers.a], ['x', 2, 'b']);
      await settled(t, later, topic, t.name());
      await t.after(
        () => later.publish(topic, 'end'),
        () => got.data.includes('end'),
      );
      assert.deepEqual(got.data, ['x', 'end']);
    },
  },
  {
    id: 'retries/restart-does-not-hurry',
    name: 'a restart does not hurry a retry that waits, nor a member that joins',
    needs: NEEDS,
    async run(t) {
      const topic = t.topic();
      const bus = await t.bus({ retry: { initialDelay: 600, jitter: 0 } });
      let failedAt = 0;
      await bus.subscribe(
        topic,
        () => {
          failedAt = Date.now();
          throw new Error('not yet');
        },
        { group: t.name() },
      );
      await bus.publish(topic, 'x');
      await t.until('it failed', () => bus.stats().retried === 1);
      await bus.close();
      const later = await t.bus();
      let cameAt = 0;
      const attempts: number[] = [];
      for (let member = 0; member < 2; member++) {
        await later.subscribe(
          topic,
          ({ attempt, data }) => {
            if (data !== 'x') return;
            cameAt = Date.now();
            attempts.push(attempt);
          },
          { group: t.name() },
        );
      }
      await t.until('it came', () => attempts.length > 0);
      assert.ok(cameAt - failedAt >= 600 - ROUNDING, `it came after ${cameAt - failedAt} ms`);
      assert.deepEqual(attempts, [2]);
    },
  },
  {
    id: 'retries/crash-while-waiting',
    name: 'a retry that waits survives the crash of the process that asked for it, and keeps its time',
    needs: NEEDS,
    power: ['crash'],
    async run(t) {
      const topic = t.topic();
      const { bus, broker } = await t.busWithBroker({ retry: { initialDelay: 500, jitter: 0 } });
      let failedAt = 0;
      await bus.subscribe(
        topic,
        () => {
          failedAt = Date.now();
          throw new Error('not yet');
        },
        { group: t.name() },
      );
      await bus.publish(topic, 'x');
      await t.until('it failed', () => bus.stats().retried === 1);
      await t.until('the broker has it', async () => {
        return (await groupInfo(bus, topic, t.name()))?.inFlight !== 1;
      });
      await t.server.crash!(broker);
      const survivor = await t.bus();
      let cameAt = 0;
      const attempts: number[] = [];
      await survivor.subscribe(
        topic,
        ({ attempt }) => {
          cameAt = Date.now();
          attempts.push(attempt);
        },
        { group: t.name() },
      );
      await t.until('it came', () => attempts.length > 0);
      assert.ok(cameAt - failedAt >= 500 - ROUNDING, `it came after ${cameAt - failedAt} ms`);
      await settled(t, survivor, topic, t.name());
      assert.deepEqual(attempts, [2]);
    },
  },
  {
    id: 'retries/poison',
    name: 'a message that takes its consumer down each time ends in the dead letters, not in an endless round',
    needs: ['leases'],
    power: ['crash'],
    timeout: 300_000,
    async run(t) {
      const topic = t.topic();
      const dead = t.topic('dead');
      const hang = hanging(t);
      const seen: Message[] = [];
      const options = { retry: { maxRetries: 1, initialDelay: 10 }, deadLetter: { topic: dead } };
      for (let round = 0; round < 2; round++) {
        const { bus, broker } = await t.busWithBroker(options, t.shortLease);
        await bus.subscribe(
          topic,
          (message) => {
            seen.push(message);
            return hang();
          },
          { group: t.name() },
        );
        if (round === 0) await bus.publish(topic, 'poison');
        const lease = bus.capabilities.limits.lease + 10_000;
        await t.until('it has it', () => seen.length > round, lease);
        await t.server.crash!(broker);
      }
      const bus = await t.bus(options, t.shortLease);
      const letters = await collectDeadLetters(t, bus, dead);
      const got = await listen(t, bus, topic);
      await t.until(
        'it is a dead letter',
        () => letters.messages.length > 0,
        bus.capabilities.limits.lease + 10_000,
      );
      const { data, failure } = letters.messages[0]!;
      assert.deepEqual([data, failure!.reason], ['poison', 'retries-exhausted']);
      await t.after(
        () => bus.publish(topic, 'good'),
        () => got.data.includes('good'),
      );
      assert.deepEqual(got.data, ['good'], 'no third handler saw it');
      assert.equal(seen.length, 2);
    },
  },
]);
