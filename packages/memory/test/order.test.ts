import { describe, expect, it } from 'vitest';
import { MemoryHub } from '../src/index.ts';
import { connect, Probe, record, series } from './support/bus.ts';
import { ManualClock, settled } from './support/clock.ts';

describe('priority', () => {
  it('overtakes in a backlog, and is kept over a retry and a release', async () => {
    const bus = await connect(new MemoryHub());
    await bus.broker.admin.ensureGroup('t', 'g', 'new');
    await bus.publish(
      [4, 2, 0, 3, 1, 0].map((priority, n) => record('t', { id: `${priority}-${n}`, priority } as any)),
    );
    const probe = await bus.subscribe('t', { group: 'g', prefetch: 1 });
    await probe.nack('0-2');
    await probe.release('0-2');
    for (const id of ['0-2', '0-5', '1-4', '2-1', '3-3', '4-0']) await probe.ack(id);
    expect(probe.ids).toEqual(['0-2', '0-2', '0-2', '0-5', '1-4', '2-1', '3-3', '4-0']);
  });
});

describe('records of one key', () => {
  it('go to one member while any is unsettled, then to any', async () => {
    const bus = await connect(new MemoryHub());
    const [a, b] = [
      await bus.subscribe('t', { group: 'g', prefetch: 8 }),
      await bus.subscribe('t', { group: 'g', prefetch: 8 }),
    ];
    await bus.publish(series('t', 5, { key: 'k' }));
    expect([a.ids, b.ids]).toEqual([['a0', 'a1'], []]);
    await bus.publish(record('t', { id: 'other', key: 'l' }));
    expect(b.ids).toEqual(['other']);
    await a.ack('a0');
    expect(a.ids).toEqual(['a0', 'a1', 'a2']);
    await a.subscription.pause();
    await a.ack('a1', 'a2');
    expect(b.ids).toEqual(['other', 'a3', 'a4']);
  });

  it('do not hold up other keys when their member is full', async () => {
    const bus = await connect(new MemoryHub());
    const slow = await bus.subscribe('t', { group: 'g', prefetch: 1 });
    const quick = await bus.subscribe('t', { group: 'g', prefetch: 100 });
    await bus.publish(series('t', 50, { key: 'slow' }));
    await bus.publish(series('t', 20, {}, 'free').map((one, n) => ({ ...one, key: `k${n % 5}` })));
    expect(slow.ids).toEqual(['a0']);
    expect(quick.ids).toEqual(Array.from({ length: 20 }, (_, n) => `free${n}`));
  });

  it('are not overtaken by one of their own of a higher priority', async () => {
    const bus = await connect(new MemoryHub());
    await bus.broker.admin.ensureGroup('t', 'g', 'new');
    await bus.publish([
      record('t', { id: 'low', key: 'k', priority: 4 }),
      record('t', { id: 'high', key: 'k', priority: 0 }),
      record('t', { id: 'free', priority: 3 }),
    ]);
    expect((await bus.subscribe('t', { group: 'g' })).ids).toEqual(['free', 'low', 'high']);
  });

  it('go on to their member whenever it has room, whatever it settled', async () => {
    const bus = await connect(new MemoryHub());
    const a = await bus.subscribe('t', { group: 'g', prefetch: 12 });
    await bus.publish([
      record('t', { id: 'k', key: 'k' }),
      record('t', { id: 'x' }),
      record('t', { id: 'y' }),
    ]);
    const b = await bus.subscribe('t', { group: 'g' });
    await bus.publish(series('t', 3, { key: 'k' }, 'later'));
    expect([a.ids, b.ids]).toEqual([['k', 'x', 'y', 'later0', 'later1'], []]);
    await a.ack('x');
    await a.ack('y');
    expect(a.ids).toEqual(['k', 'x', 'y', 'later0', 'later1']);
    await a.ack('k');
    expect([a.ids, b.ids]).toEqual([['k', 'x', 'y', 'later0', 'later1', 'later2'], []]);
  });

  it('never take more than a quarter of the window, so that a slow key leaves room', async () => {
    const bus = await connect(new MemoryHub());
    const a = await bus.subscribe('t', { group: 'g', prefetch: 8 });
    await bus.publish(series('t', 20, { key: 'slow' }));
    await bus.publish([record('t', { id: 'x' }), record('t', { id: 'y', key: 'y' })]);
    expect(a.ids).toEqual(['a0', 'a1', 'x', 'y']);
    await a.ack('a0');
    expect(a.ids.at(-1)).toBe('a2');
  });

  it('go on from a paused owner to whoever is there once it has settled', async () => {
    const bus = await connect(new MemoryHub());
    const a = await bus.subscribe('t', { group: 'g', prefetch: 1 });
    const b = await bus.subscribe('t', { group: 'g', prefetch: 1 });
    await bus.publish(series('t', 4, { key: 'k' }));
    await a.subscription.pause();
    await a.ack('a0');
    expect(b.ids).toEqual(['a1']);
    a.subscription.resume();
    await settled();
    expect(a.ids).toEqual(['a0']);
    await b.ack('a1');
    const [next, idle] = a.ids.length > 1 ? [a, b] : [b, a];
    expect([next.ids.at(-1), idle.ids]).toEqual(['a2', [idle === a ? 'a0' : 'a1']]);
  });

  it('come to their handlers in order under load, retries and leaving members', async () => {
    const bus = await connect(new MemoryHub());
    const handled = new Map<string, number[]>();
    const holders = new Map<string, Set<Probe>>();
    let total = 0;
    const join = async (): Promise<Probe> => {
      const probe = new Probe();
      probe.onDeliver = (deliveries) => {
        for (const { record } of deliveries) {
          const held = holders.get(record.key!) ?? new Set();
          holders.set(record.key!, held.add(probe));
          expect(held.size).toBe(1);
        }
        setImmediate(() => {
          for (const delivery of deliveries) {
            const { key, id } = delivery.record;
            const done = handled.get(key!) ?? [];
            handled.set(key!, [...done, Number(id)]);
            total++;
            const left = probe.deliveries.filter(
              (other) => other.record.key === key && !handled.get(key!)!.includes(Number(other.record.id)),
            );
            if (left.length === 0) holders.get(key!)!.delete(probe);
            void probe.subscription.ack([delivery]);
          }
        });
      };
      return bus.subscribe('t', { group: 'g', prefetch: 7 }, probe);
    };
    const members = await Promise.all(Array.from({ length: 5 }, join));
    for (let n = 0; n < 1_000; n += 50) {
      await bus.publish(
        Array.from({ length: 50 }, (_, i) => record('t', { id: String(n + i), key: `k${(n + i) % 16}` })),
      );
      if (n === 500) await members[0]!.subscription.pause();
    }
    while (total < 1_000) await settled();
    for (const ids of handled.values()) expect(ids).toEqual([...ids].sort((a, b) => a - b));
    expect(total).toBe(1_000);
  });

  it('pass a nacked one with order skip', async () => {
    const clock = new ManualClock();
    const bus = await connect(new MemoryHub({ clock }));
    const probe = await bus.subscribe('t', { group: 'g', prefetch: 1 });
    await bus.publish(series('t', 3, { key: 'k' }));
    await probe.nack('a0', 1_000);
    expect(probe.ids).toEqual(['a0', 'a1']);
    await clock.advance(1_000);
    await probe.ack('a1');
    expect(probe.ids).toEqual(['a0', 'a1', 'a0']);
  });
});

describe('order block', () => {
  const block = { group: 'g', prefetch: 12, order: 'block' } as const;

  it('holds the key back from the nack to the ack, and nothing else', async () => {
    const clock = new ManualClock();
    const bus = await connect(new MemoryHub({ clock }));
    const probe = await bus.subscribe('t', block);
    await bus.publish(series('t', 4, { key: 'k' }));
    await probe.nack('a0', 1_000);
    await probe.release('a1', 'a2');
    await bus.publish([record('t', { id: 'free' }), record('t', { id: 'other', key: 'l' })]);
    expect(probe.ids).toEqual(['a0', 'a1', 'a2', 'free', 'other']);
    await clock.advance(1_000);
    expect(probe.ids.slice(5)).toEqual(['a0']);
    await probe.ack('free', 'other');
    expect(probe.ids.slice(5)).toEqual(['a0']);
    await probe.nack('a0', 0);
    expect([probe.ids.slice(5), probe.of('a0').attempt]).toEqual([['a0', 'a0'], 3]);
    await probe.ack('a0');
    expect(probe.ids.slice(7)).toEqual(['a1', 'a2', 'a3']);
    expect(probe.of('a1').attempt).toBe(1);
  });

  it('lets any member take the retry', async () => {
    const clock = new ManualClock();
    const bus = await connect(new MemoryHub({ clock }));
    const [a, b] = [await bus.subscribe('t', block), await bus.subscribe('t', block)];
    await bus.publish(series('t', 2, { key: 'k' }));
    await a.nack('a0', 1_000);
    await a.release('a1');
    await a.subscription.pause();
    await clock.advance(1_000);
    expect(b.ids).toEqual(['a0']);
    await b.ack('a0');
    expect(b.ids).toEqual(['a0', 'a1']);
  });

  it('still holds after the member with the retry is gone', async () => {
    const bus = await connect(new MemoryHub());
    const [a, b] = [await bus.subscribe('t', block), await bus.subscribe('t', block)];
    await bus.publish(series('t', 2, { key: 'k' }));
    await a.nack('a0', 0);
    await a.release('a1');
    const holder = a.ids.length > 2 ? a : b;
    const other = holder === a ? b : a;
    await holder.subscription.close();
    await settled();
    expect(other.ids).toEqual(['a0']);
    expect(other.of('a0').attempt).toBe(3);
    await other.ack('a0');
    expect(other.ids).toEqual(['a0', 'a1']);
  });

  it('makes no difference without a key', async () => {
    const bus = await connect(new MemoryHub());
    const probe = await bus.subscribe('t', { ...block, prefetch: 1 });
    await bus.publish(series('t', 2));
    await probe.nack('a0', 60_000);
    expect(probe.ids).toEqual(['a0', 'a1']);
  });
});
