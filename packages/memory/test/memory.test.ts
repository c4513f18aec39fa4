import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { MemoryHub } from '../src/index.ts';
import { connect, record } from './support/bus.ts';
import { ManualClock, settled } from './support/clock.ts';

const BATCH = 5_000;
const body = new Uint8Array(32);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Megabytes in use after all garbage is gone. */
async function used(): Promise<number> {
  await settled();
  collect();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

it.each([
  ['plain', () => ({})],
  ['keyed and deduplicated', (id: string) => ({ key: id, deduplicationKey: id })],
  ['delayed', (_: string, now: number) => ({ deliverAt: now + 10 })],
])('memory stays flat while 200,000 %s messages flow through', async (_, fields) => {
  const clock = new ManualClock();
  const bus = await connect(new MemoryHub({ clock }), { window: 1_000, retention: { maxMessages: 100 } });
  const probe = await bus.subscribe('t', { group: 'g', prefetch: 1_000 });
  let acked = 0;
  probe.deliver = (deliveries) => {
    const [first, ...others] = deliveries;
    if (first!.attempt === 1) void probe.subscription.nack(first!, 10);
    else others.push(first!);
    acked += others.length;
    void probe.subscription.ack(others);
  };
  const flow = async (rounds: number): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      const before = acked;
      await bus.publish(
        Array.from({ length: BATCH }, (_, n) =>
          record('t', { body, ...fields(`${before}-${n}`, clock.now()) }),
        ),
      );
      await clock.advance(500);
      while (acked < before + BATCH) await clock.advance(10);
    }
  };
  await flow(10);
  const before = await used();
  await flow(30);
  expect((await used()) - before).toBeLessThan(1);
  expect(clock.timers).toBe(0);
});

it('a backlog that is gone leaves nothing', async () => {
  const bus = await connect(new MemoryHub(), { retention: { maxMessages: 1 } });
  await bus.broker.admin.ensureGroup('t', 'g', 'new');
  const before = await used();
  for (let round = 0; round < 60; round++) {
    await bus.publish(Array.from({ length: BATCH }, () => record('t', { body })));
  }
  expect((await used()) - before).toBeGreaterThan(10);
  const probe = await bus.subscribe('t', { group: 'g', prefetch: 10_000 });
  let left = 60 * BATCH;
  probe.deliver = (deliveries) => {
    left -= deliveries.length;
    void probe.subscription.ack(deliveries);
  };
  await probe.subscription.ack(probe.deliveries.splice(0));
  while (left > 0 && (await bus.broker.admin.listGroups())[0]!.depth > 0) await settled();
  expect((await used()) - before).toBeLessThan(1);
});
