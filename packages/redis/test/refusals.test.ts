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
