import assert from 'node:assert/strict';
import { type Bus, LeaseLostError, type Message } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { startChild } from '../child/start.ts';
import { settled } from '../helpers/groups.ts';
import { hanging } from '../helpers/hang.ts';
import { listen } from '../helpers/listen.ts';
import { rejection } from '../helpers/rejection.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

/** Milliseconds beyond the lease within which a dead consumer's messages must have come to another member. */
const GRACE = 10_000;

/** Milliseconds: a broker whose leases cannot be made short takes its time. */
const TIMEOUT = 180_000;

const within = ({ capabilities }: Bus): number => capabilities.limits.lease + GRACE;

/** Members that die, vanish, or take long. */
export const settlementLeases: readonly Case[] = chapter('settlement', [
  {
    id: 'settlement/long-handler',
    name: 'a handler that runs longer than the lease keeps its message: nobody else gets it',
    needs: ['leases'],
    timeout: TIMEOUT,
    async run(t) {
      const topic = t.topic();
      const [slow, other] = [await t.bus({}, t.shortLease), await t.bus({}, t.shortLease)];
      const { lease } = slow.capabilities.limits;
      const seen: string[] = [];
      const handle =
        (name: string) =>
        async ({ data, attempt, signal }: Message): Promise<void> => {
          seen.push(`${data} ${attempt}`);
          if (data !== 'long') return;
          const start = performance.now();
          await t.until(
            'three leases are over',
            () => performance.now() > start + 3 * lease,
            3 * lease + 10_000,
          );
          seen.push(signal.aborted ? `aborted in ${name}` : 'done');
        };
      await slow.subscribe(topic, handle('one'), { group: t.name(), concurrency: 2 });
      await other.subscribe(topic, handle('other'), { group: t.name(), concurrency: 2 });
      await slow.publish(topic, 'long');
      await t.until('it is done', () => seen.length >= 2, 3 * lease + 10_000);
      await settled(t, slow, topic, t.name());
      await t.after(
        () => slow.publish(topic, 'end'),
        () => seen.includes('end 1'),
      );
      assert.deepEqual(seen, ['long 1', 'done', 'end 1']);
    },
  },
  {
    id: 'settlement/long-unsettled',
    name: 'in manual mode an unsettled message keeps its lease after its handler has ended, up to the handler timeout',
    needs: ['leases'],
    timeout: TIMEOUT,
    async run(t) {
      const topic = t.topic();
      const bus = await t.bus({ retry: { initialDelay: 10 } }, t.shortLease);
      const { lease } = bus.capabilities.limits;
      const seen: Message[] = [];
      await bus.subscribe(topic, (message) => void seen.push(message), {
        group: t.name(),
        ack: 'manual',
        handlerTimeout: 3 * lease,
      });
      await bus.publish(topic, 1);
      const start = performance.now();
      await t.until('it came', () => seen.length > 0);
      const second = await t.until('it came again', () => seen[1], 3 * lease + GRACE);
      assert.ok(performance.now() - start >= 3 * lease - 5, 'after the handler timeout, not before');
      assert.equal(second.attempt, 2);
      await second.ack();
      await rejection(LeaseLostError, () => seen[0]!.ack());
    },
  },
  {
    id: 'settlement/crash',
    name: 'what a member had when its process vanished comes to another within the lease, with attempt 2',
    needs: ['leases'],
    power: ['crash'],
    timeout: TIMEOUT,
    async run(t) {
      const topic = t.topic();
      const { bus, broker } = await t.busWithBroker({}, t.shortLease);
      const survivor = await t.bus({}, t.shortLease);
      const first = t.collector<number>();
      const hang = hanging(t);
      const handle = (message: Message<number>): Promise<void> => {
        first.handle(message);
        return hang();
      };
      await bus.subscribe<number>(topic, handle, { group: t.name(), concurrency: 5 });
      await Promise.all(numbers(5).map((n) => bus.publish(topic, n)));
      await t.until('it handles all', () => first.data.length >= 5);
      const got = await listen<number>(t, survivor, topic);
      await t.server.crash!(broker);
      await t.until('the other has all', () => got.data.length >= 5, within(survivor));
      assert.deepEqual(distinct(got.data), numbers(5));
      for (const { attempt } of got.messages) assert.equal(attempt, 2);
      await survivor.publish(topic, 5);
      await t.until('it goes on', () => got.data.includes(5));
      assert.equal(got.data.length, 6, 'each once');
    },
  },
  {
    id: 'settlement/crash-counts',
    name: 'attempts survive the crash of every consumer',
    needs: ['leases'],
    power: ['crash'],
    timeout: 3 * TIMEOUT,
    async run(t) {
      const topic = t.topic();
      const attempts: number[] = [];
      const hang = hanging(t);
      for (const round of numbers(3)) {
        const { bus, broker } = await t.busWithBroker({}, t.shortLease);
        await bus.subscribe(
          topic,
          ({ attempt }) => {
            attempts.push(attempt);
            return hang();
          },
          { group: t.name() },
        );
        if (round === 0) await bus.publish(topic, 1);
        await t.until('it has it', () => attempts.length > round, within(bus));
        await t.server.crash!(broker);
      }
      const last = await t.bus({}, t.shortLease);
      const got = await listen(t, last, topic);
      await t.until('the last one has it', () => got.messages.length > 0, within(last));
      assert.deepEqual([...attempts, got.messages[0]!.attempt], [1, 2, 3, 4]);
    },
  },
  {
    id: 'settlement/crash-keeps-acks',
    name: 'what was acked before a crash does not come again, in whatever order it was acked',
    needs: ['leases'],
    power: ['crash'],
    timeout: TIMEOUT,
    async run(t) {
      const topic = t.topic();
      const { bus, broker } = await t.busWithBroker({}, t.shortLease);
      const seen: Message<number>[] = [];
      await bus.subscribe<number>(topic, (message) => void seen.push(message), {
        group: t.name(),
        ack: 'manual',
      });
      for (const n of numbers(20)) await bus.publish(topic, n);
      await t.until('all came', () => seen.length >= 20);
      for (const message of seen.toReversed()) if (message.data % 2 === 0) await message.ack();
      await t.server.crash!(broker);
      const survivor = await t.bus({}, t.shortLease);
      const got = await listen<number>(t, survivor, topic);
      await t.until('the rest came', () => got.data.length >= 10, within(survivor));
      await settled(t, survivor, topic, t.name());
      assert.deepEqual(
        distinct(got.data),
        numbers(20).filter((n) => n % 2 === 1),
      );
      assert.equal(got.data.length, 10);
    },
  },
  {
    id: 'settlement/lost-lease',
    name: 'a member that loses its lease is told by its signal, its ack is refused with an event, and another handles',
    needs: ['leases'],
    power: ['cut'],
    timeout: TIMEOUT,
    async run(t) {
      const topic = t.topic();
      const { bus, broker } = await t.busWithBroker({ publishTimeout: TIMEOUT }, t.shortLease);
      const other = await t.bus({}, t.shortLease);
      const seen: Message[] = [];
      const lost: string[] = [];
      let aborted: unknown;
      bus.on('lease.lost', ({ reason, attempt }) => lost.push(`${reason} ${attempt}`));
      await bus.subscribe(
        topic,
        (message) => {
          seen.push(message);
          message.signal.addEventListener('abort', () => {
            aborted = message.signal.reason;
          });
        },
        { group: t.name(), ack: 'manual' },
      );
      await bus.publish(topic, 1);
      const message = await t.until('it has it', () => seen[0]);
      const restore = await t.server.cut!(broker);
      const got = await listen(t, other, topic);
      await t.until('the other has it', () => got.messages.length > 0, within(other));
      assert.equal(got.messages[0]!.attempt, 2);
      await restore();
      await t.until('the first is told', () => aborted !== undefined, within(bus));
      assert.ok(LeaseLostError.is(aborted), String(aborted));
      await rejection(LeaseLostError, () => message.ack());
      assert.deepEqual(lost, ['expired 1', 'late 1']);
      await settled(t, other, topic, t.name());
      assert.deepEqual([seen.length, got.messages.length], [1, 1], 'nobody else got it');
      await other.close();
      await bus.publish(topic, 2);
      await t.until('the first goes on', () => seen.length >= 2, within(bus));
    },
  },
  {
    id: 'settlement/kill-9',
    name: 'after a kill -9 in the handler another member has the message within the documented time',
    needs: ['leases'],
    power: ['processes'],
    timeout: TIMEOUT,
    async run(t) {
      const topic = t.topic();
      const bus = await t.bus();
      const child = await startChild(t);
      await child.call({ do: 'subscribe', topic, options: { group: t.name() }, takes: -1 });
      await bus.publish(topic, 'x');
      await t.until('the other process has it', () => child.handled.length > 0);
      const got = await listen(t, bus, topic);
      await child.kill();
      await t.until('this one has it', () => got.messages.length > 0, within(bus));
      assert.deepEqual([got.messages[0]!.data, got.messages[0]!.attempt], ['x', 2]);
      assert.equal(child.handled[0]!.attempt, 1);
    },
  },
]);
