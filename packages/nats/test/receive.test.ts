import { type Bus, createBus } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { nats } from '../src/index.ts';

let server: Server;
beforeAll(async () => {
  server = await startServer('nats', { quiet: true });
});
afterAll(() => server.close());

const busOf = (prefix: string): Promise<Bus> =>
  createBus({ broker: nats({ url: server.url }), prefix, logger: false });

/** How often the server has sent something to the group. */
async function sent(bus: Bus, prefix: string): Promise<number> {
  const { consumers } = await (bus.native() as NatsConnection).jetstreamManager();
  let sum = 0;
  for await (const { delivered } of consumers.list(prefix)) sum += delivered.consumer_seq;
  return sum;
}

/** Leaves this many messages, each of a key of its own, to come again in a minute. */
async function retryLater(bus: Bus, topic: string, count: number): Promise<void> {
  await bus.admin.ensureGroup(topic, 'g', 'new');
  for (let n = 0; n < count; n++) await bus.publish(topic, n, { key: `later${n}` });
  for (let nacked = 0; nacked < count; ) {
    const messages = await bus.receive(topic, { group: 'g', max: count - nacked });
    await Promise.all(messages.map((message) => message.nack({ delay: 60_000 })));
    nacked += messages.length;
  }
}

it.each([
  ['nothing waits', 'none', 0],
  ['its own retries wait', 'own', 8],
  ['retries of another wait', 'other', 40],
])('takes little more than it hands out while %s', async (_, prefix, retries) => {
  await using other = await busOf(prefix);
  await using bus = await busOf(prefix);
  await retryLater(prefix === 'own' ? bus : other, 'many', retries);
  await other.close();
  await Promise.all(Array.from({ length: 300 }, (_, n) => bus.publish('many', n, { key: `k${n % 12}` })));
  const [before, { delivered }] = [await sent(bus, prefix), bus.stats()];
  const seen: unknown[] = [];
  while (seen.length < 30) {
    for (const message of await bus.receive('many', { group: 'g', max: 1 })) {
      seen.push(message.data);
      await message.ack();
    }
  }
  expect(bus.stats().delivered - delivered).toBe(30);
  // One of each of the eight lanes at a time, and a look for what was given back.
  expect((await sent(bus, prefix)) - before).toBeLessThan(30 * 9);
});

it('keeps the order of keys that it gives back between calls', async () => {
  await using bus = await busOf('turns');
  await retryLater(bus, 'turns', 8);
  const count = 96;
  for (let n = 0; n < count; n++) await bus.publish('turns', n, { key: `k${n % 12}` });
  const seen = new Map<string | undefined, unknown[]>();
  for (let left = count, call = 0; left > 0; call++) {
    const messages = await bus.receive('turns', { group: 'g', max: 1 + (call % 5) });
    for (const { key, data } of messages) seen.set(key, [...(seen.get(key) ?? []), data]);
    await Promise.all(messages.map((message) => message.ack()));
    left -= messages.length;
  }
  for (const [key, data] of seen) {
    const first = Number(key?.slice(1));
    expect(data).toEqual(Array.from({ length: count / 12 }, (_, n) => first + n * 12));
  }
});

it('does not count what is published in the moment in which a call ends', async () => {
  await using bus = await busOf('moments');
  await using other = await busOf('moments');
  await bus.admin.ensureGroup('busy', 'g', 'new');
  let published = 0;
  let isOver = false;
  const publishing = (async () => {
    while (!isOver) await Promise.all([1, 2, 3, 4].map(() => other.publish('busy', published++)));
  })();
  const attempts = new Map<unknown, number>();
  const take = async (timeout: number): Promise<void> => {
    const messages = await bus.receive('busy', { group: 'g', max: 1_000, timeout });
    for (const { data, attempt } of messages) attempts.set(data, attempt);
    await Promise.all(messages.map((message) => message.ack()));
  };
  for (let call = 0; call < 80; call++) await take(1);
  isOver = true;
  await publishing;
  while (attempts.size < published) await take(100);
  expect(new Set(attempts.values())).toEqual(new Set([1]));
}, 60_000);
