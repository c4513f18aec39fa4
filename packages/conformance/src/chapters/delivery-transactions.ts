import assert from 'node:assert/strict';
import {
  type Bus,
  LeaseLostError,
  type Message,
  MessageTooLargeError,
  SerializationError,
  UnsupportedError,
  ValidationError,
} from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { settled, standingGroup } from '../helpers/groups.ts';
import { rejection } from '../helpers/rejection.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

const RETRY = { delays: [10, 10, 10] };

/** The topics of a case, and what came out. */
async function world(t: CaseContext): Promise<{
  bus: Bus;
  topic: string;
  output: string;
  group: string;
  out: ReturnType<CaseContext['collector']>;
}> {
  const bus = await t.bus();
  const output = t.topic('output');
  const out = t.collector();
  await bus.subscribe(output, out.handle, { group: t.name('out') });
  return { bus, topic: t.topic('input'), output, group: t.name(), out };
}

async function refused(t: CaseContext): Promise<void> {
  const bus = await t.bus();
  const options = { group: t.name(), transaction: true };
  await rejection(UnsupportedError, () => bus.subscribe(t.topic(), () => {}, options), 'transaction');
}

/** What a handler publishes and its ack are one. */
export const deliveryTransactions: readonly Case[] = chapter('delivery', [
  {
    id: 'delivery/transaction',
    name: 'what a handler publishes in a transaction comes once, and not before its message is acked',
    needs: ['transactions'],
    refused,
    async run(t) {
      const { bus, topic, output, group, out } = await world(t);
      const end = Promise.withResolvers<void>();
      t.cleanup(() => end.resolve());
      let published = false;
      await bus.subscribe(
        topic,
        async (message) => {
          const receipt = await message.publish(output, message.data, { headers: { a: 'b' } });
          assert.equal(receipt.topic, output);
          published = true;
          await end.promise;
        },
        { group, transaction: true },
      );
      const { id } = await bus.publish(topic, 'in');
      await t.until('the handler has published', () => published);
      await t.after(
        () => bus.publish(output, 'marker'),
        () => out.data.includes('marker'),
      );
      assert.deepEqual(out.data, ['marker']);
      assert.equal(bus.stats().published, 2);
      end.resolve();
      await t.until('it came', () => out.data.includes('in'));
      await settled(t, bus, topic, group);
      await t.quiet('it came once', () => out.data.length === 2);
      const came = out.messages.find(({ data }) => data === 'in');
      assert.equal(came!.causationId, id);
      assert.deepEqual(came!.headers, { a: 'b' });
      await t.until('it is counted', () => bus.stats().published === 3);
    },
  },
  {
    id: 'delivery/transaction-of-a-failure',
    name: 'of a handler that fails and then succeeds, only the last attempt publishes in its transaction',
    needs: ['transactions'],
    refused,
    async run(t) {
      const { bus, topic, output, group, out } = await world(t);
      await bus.subscribe(
        topic,
        async (message) => {
          await message.publish(output, `${message.data} ${message.attempt}`);
          if (message.attempt < 3) throw new Error('not yet');
        },
        { group, transaction: true, retry: RETRY },
      );
      for (const n of numbers(5)) await bus.publish(topic, n);
      await t.until('all came', () => out.data.length >= 5);
      await settled(t, bus, topic, group);
      await t.after(
        () => bus.publish(output, 'marker'),
        () => out.data.includes('marker'),
      );
      assert.deepEqual(out.data.toSorted(), [...numbers(5).map((n) => `${n} 3`), 'marker']);
    },
  },
  {
    id: 'delivery/transaction-of-a-dead-letter',
    name: 'a message that goes to the dead letters publishes nothing in its transaction',
    needs: ['transactions'],
    refused,
    async run(t) {
      const { bus, topic, output, group, out } = await world(t);
      const dead = t.topic('dead');
      const letters = t.collector();
      await bus.subscribe(dead, letters.handle, { group: t.name('dead') });
      await bus.subscribe(
        topic,
        async (message) => {
          await message.publish(output, message.data);
          if (message.data === 'rejected') await message.reject();
          else throw new Error('fails');
        },
        { group, transaction: true, retry: false, deadLetter: { topic: dead } },
      );
      await bus.publish(topic, 'rejected');
      await bus.publish(topic, 'failed');
      await t.until('both are dead', () => letters.data.length === 2);
      await settled(t, bus, topic, group);
      await t.after(
        () => bus.publish(output, 'marker'),
        () => out.data.includes('marker'),
      );
      assert.deepEqual(out.data, ['marker']);
    },
  },
  {
    id: 'delivery/transaction-crash',
    name: 'a consumer that dies between its publish and its ack has published nothing, and who gets the message next does so once',
    needs: ['transactions'],
    power: ['crash'],
    timeout: 60_000,
    refused,
    async run(t) {
      const { bus, topic, output, group, out } = await world(t);
      const { bus: doomed, broker } = await t.busWithBroker({}, t.shortLease);
      const end = Promise.withResolvers<void>();
      t.cleanup(() => end.resolve());
      let published = 0;
      await doomed.subscribe(
        topic,
        async (message) => {
          await message.publish(output, `${message.data} doomed`);
          published++;
          await end.promise;
        },
        { group, transaction: true, concurrency: 3 },
      );
      for (const n of numbers(3)) await bus.publish(topic, n);
      await t.until('its handlers have published', () => published === 3);
      await t.server.crash!(broker);
      await bus.subscribe(topic, (message) => message.publish(output, `${message.data} alive`), {
        group,
        transaction: true,
      });
      await t.until('all came', () => out.data.length >= 3, 30_000);
      await settled(t, bus, topic, group);
      await t.after(
        () => bus.publish(output, 'marker'),
        () => out.data.includes('marker'),
      );
      assert.deepEqual(out.data.toSorted(), [...numbers(3).map((n) => `${n} alive`), 'marker']);
    },
  },
  {
    id: 'delivery/transaction-of-a-lost-lease',
    name: 'a member that has lost its lease publishes nothing in its transaction, whatever its handler comes to',
    needs: ['transactions', 'leases'],
    power: ['cut'],
    timeout: 60_000,
    refused,
    async run(t) {
      const { bus, topic, output, group, out } = await world(t);
      const { bus: slow, broker } = await t.busWithBroker({}, t.shortLease);
      let lost: Message | undefined;
      await slow.subscribe(
        topic,
        async (message) => {
          await message.publish(output, 'slow');
          lost ??= message;
        },
        { group, transaction: true, ack: 'manual' },
      );
      await bus.publish(topic, 1);
      const message = await t.until('it has it', () => lost);
      const restore = await t.server.cut!(broker);
      const other = await t.bus({}, t.shortLease);
      await other.subscribe(topic, (again) => again.publish(output, 'other'), { group, transaction: true });
      await t.until('the other has published', () => out.data.length > 0, 30_000);
      await restore();
      await t.until('the first is told', () => message.signal.aborted, 30_000);
      await rejection(LeaseLostError, () => message.publish(output, 'late'));
      await rejection(LeaseLostError, () => message.ack());
      await settled(t, bus, topic, group);
      await t.after(
        () => bus.publish(output, 'marker'),
        () => out.data.includes('marker'),
      );
      assert.deepEqual(out.data, ['other', 'marker']);
    },
  },
  {
    id: 'delivery/transaction-members',
    name: '200 messages are 200 publishes of their handlers while members of the group come and go',
    needs: ['transactions'],
    timeout: 60_000,
    refused,
    async run(t) {
      const { bus, topic, output, group, out } = await world(t);
      let attempts = 0;
      const join = async (): Promise<Bus> => {
        const member = await t.bus();
        await member.subscribe(
          topic,
          async (message) => {
            attempts++;
            await message.publish(output, message.data);
            await new Promise((resolve) => setTimeout(resolve, 20));
          },
          { group, transaction: true, concurrency: 8 },
        );
        return member;
      };
      const first = await join();
      const publishing = Promise.all(numbers(200).map((n) => bus.publish(topic, n, { key: `k${n % 20}` })));
      const second = await join();
      await publishing;
      await t.until('some came', () => out.data.length > 20, 30_000);
      const third = await join();
      await first.close();
      await t.until('more came', () => out.data.length > 80, 30_000);
      await join();
      await Promise.all([second.close(), third.close()]);
      await t.until('all came', () => new Set(out.data).size === 200, 30_000);
      await settled(t, bus, topic, group);
      await t.after(
        () => bus.publish(output, -1),
        () => out.data.includes(-1),
      );
      assert.equal(out.data.length, 201);
      t.note('attempts', attempts);
    },
  },
  {
    id: 'delivery/transaction-input',
    name: 'a handler hears at once of what cannot be published, also in a transaction, and what it does publish comes',
    needs: ['transactions'],
    refused,
    async run(t) {
      const { bus, topic, output, group, out } = await world(t);
      const { maxBodyBytes } = t.capabilities.limits;
      const circular: Record<string, unknown> = {};
      circular.self = circular;
      const failures: unknown[] = [];
      await bus.subscribe(
        topic,
        async (message) => {
          await message.publish(output, 'good');
          try {
            await rejection(ValidationError, () => message.publish('not a topic', 1));
            await rejection(ValidationError, () => message.publish(output, 1, { ttl: -1 }), 'ttl');
            await rejection(SerializationError, () => message.publish(output, circular));
            if (maxBodyBytes < 32 * 1024 * 1024) {
              const large = new Uint8Array(maxBodyBytes + 1);
              await rejection(MessageTooLargeError, () => message.publish(output, large));
            }
          } catch (error) {
            failures.push(error);
          }
        },
        { group, transaction: true },
      );
      await bus.publish(topic, 1);
      await t.until('it came', () => out.data.length >= 1);
      await t.after(
        () => bus.publish(output, 'marker'),
        () => out.data.includes('marker'),
      );
      assert.deepEqual(failures, []);
      assert.deepEqual(out.data, ['good', 'marker']);
    },
  },
  {
    id: 'delivery/transaction-modes',
    name: 'transactions work with manual acks and with batches; after its ack a message publishes nothing more',
    needs: ['transactions'],
    refused,
    async run(t) {
      const { bus, topic, output, group, out } = await world(t);
      const other = t.topic('batches');
      const late: unknown[] = [];
      await bus.subscribe(
        topic,
        async (message) => {
          await message.publish(output, message.data);
          await message.ack();
          await rejection(ValidationError, () => message.publish(output, 'late')).catch((error) =>
            late.push(error),
          );
        },
        { group, transaction: true, ack: 'manual' },
      );
      let nacked = false;
      await bus.subscribe(
        other,
        async (messages) => {
          for (const message of messages) await message.publish(output, message.data);
          if (nacked) return;
          nacked = true;
          await messages[0]!.nack({ delay: 10 });
        },
        { group: t.name('batch'), transaction: true, ack: { batch: 5, maxWait: 20 } },
      );
      await bus.publish(topic, 'manual');
      await Promise.all(numbers(10).map((n) => bus.publish(other, n)));
      await t.until('all came', () => out.data.length >= 11);
      await settled(t, bus, topic, group);
      await settled(t, bus, other, t.name('batch'));
      await t.after(
        () => bus.publish(output, 'marker'),
        () => out.data.includes('marker'),
      );
      assert.deepEqual(late, []);
      assert.deepEqual(out.data.map(String).toSorted(), [...numbers(10).map(String), 'manual', 'marker']);
    },
  },
  {
    id: 'delivery/transaction-put-back',
    name: 'what middleware publishes for messages that their batch puts back behind a failing one comes once',
    needs: ['transactions', 'keyOrder'],
    refused,
    async run(t) {
      const { bus, topic, output, group, out } = await world(t);
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(3).map((data) => ({ topic, data, key: 'k' })));
      let seen = 0;
      bus.use({
        async consume(message, next) {
          await message.publish(output, message.data);
          seen++;
          if (message.data === 0) {
            await t.until('the others are there', () => seen >= 3);
            throw new Error('no');
          }
          await next(message);
        },
      });
      await bus.subscribe(topic, (_: readonly Message[]) => {}, {
        group,
        transaction: true,
        order: 'block',
        retry: { maxRetries: 0 },
        ack: { batch: 3, maxWait: 5_000 },
      });
      await t.until('they came', () => out.data.length >= 2);
      await settled(t, bus, topic, group);
      await t.after(
        () => bus.publish(output, 'end'),
        () => out.data.includes('end'),
      );
      assert.deepEqual(distinct(out.data.filter((data): data is number => data !== 'end')), [1, 2]);
      assert.equal(out.data.length, 3);
    },
  },
  {
    id: 'delivery/transaction-delayed',
    name: 'what is published in a transaction with a delay comes when it is due',
    needs: ['transactions', 'delay'],
    refused,
    async run(t) {
      const { bus, topic, output, group, out } = await world(t);
      let due = 0;
      await bus.subscribe(
        topic,
        async (message) => {
          due = Date.now() + 300;
          await message.publish(output, message.data, { delay: 300 });
        },
        { group, transaction: true },
      );
      await bus.publish(topic, 1);
      await t.until('it came', () => out.data.length === 1);
      assert.ok(Date.now() >= due - 20, 'it came too early');
    },
  },
  {
    id: 'delivery/transaction-options',
    name: 'a transaction needs a group, and cannot be had at most once',
    needs: ['transactions'],
    refused,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const transaction = true;
      await rejection(ValidationError, () => bus.subscribe(topic, () => {}, { transaction }), 'group');
      const once = { group: t.name(), transaction, delivery: 'at-most-once' } as const;
      await rejection(ValidationError, () => bus.subscribe(topic, () => {}, once), 'at-most-once');
    },
  },
]);
