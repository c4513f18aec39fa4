import { afterAll, beforeAll, expect, test } from 'vitest';
import { until, type World, world } from './support/world.ts';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());

/** Runs `during` while the server refuses every write, as one does that has lost its replicas. */
async function withoutWrites(during: () => Promise<unknown>): Promise<void> {
  try {
    await w.raw.config('SET', 'min-replicas-to-write', '1');
    await during();
  } finally {
    await w.raw.config('SET', 'min-replicas-to-write', '0');
  }
}

const rest = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Attempts of a message whose handler ends, or fails the first time, while the server refuses writes for a time. */
async function settledMeanwhile(topic: string, lease: number, fails: boolean): Promise<number[]> {
  const bus = await w.bus({ lease });
  const attempts: number[] = [];
  const held = Promise.withResolvers<void>();
  const handler = async ({ attempt }: { attempt: number }): Promise<void> => {
    attempts.push(attempt);
    await held.promise;
    if (fails && attempts.length === 1) throw new Error('once');
  };
  await bus.subscribe(topic, handler, { group: 'g', retry: { initialDelay: 1 } });
  await bus.publish(topic, 1, { key: 'k' });
  await until(() => attempts.length === 1);
  await withoutWrites(async () => {
    held.resolve();
    await rest(1_000);
  });
  await until(() => attempts.length === (fails ? 2 : 1));
  await until(async () => (await bus.admin.group(topic, 'g'))?.depth === 0);
  return attempts;
}

test('what the server refuses in passing is settled once it takes it', async () => {
  expect(await settledMeanwhile('refused.ack', 30_000, false)).toEqual([1]);
  expect(await settledMeanwhile('refused.nack', 30_000, true)).toEqual([1, 2]);
});

test('what it refuses for longer than a member is patient comes again, counted, and is not handled twice', async () => {
  expect(await settledMeanwhile('missed.ack', 600, false)).toEqual([1]);
  expect(await settledMeanwhile('missed.nack', 600, true)).toEqual([1, 2]);
});

test('nobody is given up after a time in which no member could say that it lives', async () => {
  const lease = 600;
  const buses = [await w.bus({ lease }), await w.bus({ lease })];
  const held = Promise.withResolvers<void>();
  let lost = 0;
  let handling = 0;
  for (const bus of buses) {
    bus.on('lease.lost', () => void lost++);
    const take = (): Promise<void> => {
      handling++;
      return held.promise;
    };
    await bus.subscribe('silenced', take, { group: 'g', prefetch: 1, concurrency: 1 });
  }
  for (let n = 0; n < 2; n++) await buses[0]!.publish('silenced', n);
  await until(() => handling === 2);
  await withoutWrites(() => rest(2 * lease));
  await rest(2 * lease);
  held.resolve();
  expect([lost, handling]).toEqual([0, 2]);
});

test('subscriptions that are refused do not use up the connections that wait for messages', async () => {
  const bus = await w.bus({ maxReaders: 1 }, { provision: 'none' });
  const readers = async (): Promise<number> =>
    String(await w.raw.client('LIST')).match(/name=\S*:reader /g)?.length ?? 0;
  const before = await readers();
  const refused = await bus.subscribe('readers', () => {}, { group: 'g' }).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(Error);
  const maker = await w.bus();
  await maker.admin.ensureTopic('readers');
  await maker.admin.ensureGroup('readers', 'g', 'new');
  await bus.subscribe('readers', () => {}, { group: 'g' });
  await until(async () => (await readers()) > before);
});
