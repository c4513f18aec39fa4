import assert from 'node:assert/strict';
import { type Message, ValidationError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { standingGroup } from '../helpers/groups.ts';
import { listen } from '../helpers/listen.ts';
import { rejection } from '../helpers/rejection.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

/** Messages that are taken rather than handed over. */
export const basicsPull: readonly Case[] = chapter('basics', [
  {
    id: 'basics/stream',
    name: 'a stream yields messages one by one, acks each when the next is asked for, and ends with its bus',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await Promise.all(numbers(10).map((n) => bus.publish(topic, n, { key: 'k' })));
      const seen: number[] = [];
      const closing: Promise<void>[] = [];
      for await (const message of bus.stream<string>(topic, { group })) {
        seen.push(message.data);
        if (seen.length === 10) {
          await message.ack();
          closing.push(bus.close());
        }
      }
      await Promise.all(closing);
      assert.deepEqual(seen, numbers(10));
      const later = await t.bus();
      const got = await listen(t, later, topic, { group });
      await t.after(
        () => later.publish(topic, 'end', { key: 'k' }),
        () => got.data.includes('end'),
      );
      assert.deepEqual(got.data, ['end'], 'all were acked');
    },
  },
  {
    id: 'basics/stream-left',
    name: 'a message whose stream is left before the next was asked for comes again to the group',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await Promise.all(numbers(5).map((n) => bus.publish(topic, n, { key: 'k' })));
      for await (const message of bus.stream(topic, { group })) if (message.data === 2) break;
      const got = await listen<number>(t, bus, topic, { group });
      await t.until('the rest came', () => got.data.length >= 3);
      assert.deepEqual(distinct(got.data), [2, 3, 4]);
    },
  },
  {
    id: 'basics/stream-live',
    name: 'a stream without a group yields what is published once it was first asked for a message',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const stream = bus.stream<string>(topic);
      const first = stream.next();
      let came: Message<string> | undefined;
      first.then(({ value }) => {
        came = value;
      });
      await t.until('a message came', async () => {
        await bus.publish(topic, 'x');
        return came;
      });
      assert.equal(came!.data, 'x');
      await stream.return!();
      await t.until('it is unsubscribed', () => bus.stats().subscriptions === 0);
      assert.equal((await stream.next()).done, true);
    },
  },
  {
    id: 'basics/receive',
    name: 'receive takes up to max messages, none when none come in time, and they are settled by hand',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      assert.deepEqual(await bus.receive(topic, { group, timeout: 0 }), []);
      await Promise.all(numbers(10).map((n) => bus.publish(topic, n)));
      const taken: Message<number>[] = [];
      await t.until('all were taken', async () => {
        const messages = await bus.receive<string>(topic, { group, max: 4, timeout: 1_000 });
        assert.ok(messages.length <= 4, 'no more than max');
        for (const message of messages) await message.ack();
        taken.push(...messages);
        return taken.length >= 10;
      });
      assert.deepEqual(distinct(taken.map(({ data }) => data)), numbers(10));
      assert.equal(taken.length, 10);
      assert.deepEqual(await bus.receive(topic, { group, timeout: 0 }), []);
    },
  },
  {
    id: 'basics/receive-nack',
    name: 'a received message that is nacked is received again, with attempt 2, and what is dead-lettered is not',
    async run(t) {
      const bus = await t.bus({ deadLetter: { topic: t.topic('dead') } });
      const letters = await listen(t, bus, t.topic('dead'));
      const topic = t.topic();
      const group = t.name();
      const take = (): Promise<Message[]> => bus.receive(topic, { group, timeout: 5_000 });
      await standingGroup(bus, topic, group);
      await bus.publish(topic, 'x');
      const [first] = await take();
      assert.deepEqual([first!.data, first!.attempt], ['x', 1]);
      await first!.nack({ delay: 10 });
      const [second] = await take();
      assert.deepEqual([second!.data, second!.attempt], ['x', 2]);
      await second!.deadLetter('no use');
      await t.until('it is a dead letter', () => letters.messages.length > 0);
      assert.equal(letters.messages[0]!.failure!.reason, 'no use');
      assert.deepEqual(await bus.receive(topic, { group, timeout: 0 }), []);
    },
  },
  {
    id: 'basics/receive-leaves-the-rest',
    name: 'what a receive did not take is there for others, with attempt 1',
    async run(t) {
      const [bus, other] = [await t.bus(), await t.bus()];
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await Promise.all(numbers(20).map((n) => bus.publish(topic, n)));
      const [first] = await bus.receive<string>(topic, { group, max: 1 });
      await first!.ack();
      const got = await listen<number>(t, other, topic, { group });
      await t.until('the others came', () => got.data.length >= 19);
      assert.deepEqual(distinct([...got.data, first!.data]), numbers(20));
      for (const message of got.messages) assert.equal(message.attempt, 1);
    },
  },
  {
    id: 'basics/receive-needs-a-group',
    name: 'receive without a group is refused: between two calls it would miss what is published',
    async run(t) {
      const bus = await t.bus();
      await rejection(ValidationError, () => bus.receive(t.topic(), {} as never), '"group"');
      await rejection(ValidationError, () => bus.receive(t.topic(), { group: 'g', max: 0 }), '"max"', '0');
      await rejection(ValidationError, () => bus.receive('a b', { group: 'g' }), '"a b"');
    },
  },
]);
