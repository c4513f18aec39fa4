import { describe, expect, it } from 'vitest';
import { MemoryHub } from '../src/index.ts';
import { connect, record, series } from './support/bus.ts';
import { ManualClock, settled } from './support/clock.ts';

describe('a group', () => {
  it('hands each record to one member', async () => {
    const bus = await connect(new MemoryHub());
    const members = [await bus.subscribe('t', { group: 'g' }), await bus.subscribe('t', { group: 'g' })];
    await bus.publish(series('t', 6));
    expect(members.map(({ ids }) => ids)).toEqual([
      ['a0', 'a2', 'a4'],
      ['a1', 'a3', 'a5'],
    ]);
  });

  it('gives every idle member a share when records come one at a time', async () => {
    const bus = await connect(new MemoryHub());
    const members = await Promise.all([1, 2, 3].map(() => bus.subscribe('t', { group: 'g', prefetch: 100 })));
    for (const one of series('t', 9)) await bus.publish(one);
    expect(members.map(({ ids }) => ids.length)).toEqual([3, 3, 3]);
  });

  it('skips nobody when somebody is full', async () => {
    const bus = await connect(new MemoryHub());
    const members = await Promise.all(
      [1, 9, 9].map((prefetch) => bus.subscribe('t', { group: 'g', prefetch })),
    );
    await bus.publish(series('t', 4));
    expect(members.map(({ ids }) => ids)).toEqual([['a0'], ['a1', 'a3'], ['a2']]);
  });

  it('never lends a member more than its prefetch', async () => {
    const bus = await connect(new MemoryHub());
    const probe = await bus.subscribe('t', { group: 'g', prefetch: 3 });
    await bus.publish(series('t', 10));
    expect(probe.ids).toEqual(['a0', 'a1', 'a2']);
    await probe.ack('a1');
    expect(probe.ids).toEqual(['a0', 'a1', 'a2', 'a3']);
    await probe.nack('a0', 60_000);
    await probe.release('a2');
    expect(probe.ids).toEqual(['a0', 'a1', 'a2', 'a3', 'a4', 'a2']);
  });

  it('passes a full member by', async () => {
    const bus = await connect(new MemoryHub());
    const slow = await bus.subscribe('t', { group: 'g', prefetch: 1 });
    const quick = (await bus.subscribe('t', { group: 'g', prefetch: 5 })).consume();
    await bus.publish(series('t', 200));
    expect(slow.ids).toHaveLength(1);
    expect(quick.ids).toHaveLength(199);
  });

  it('keeps what comes while no member is up, on topics of later too', async () => {
    const bus = await connect(new MemoryHub());
    const first = await bus.subscribe('t.#', { group: 'g' });
    await first.subscription.close();
    await bus.publish([
      record('t.a', { id: 'one' }),
      record('t.b.c', { id: 'two' }),
      record('u', { id: 'no' }),
    ]);
    expect((await bus.subscribe('t.#', { group: 'g' })).ids).toEqual(['one', 'two']);
  });

  it('is another one under another pattern or name', async () => {
    const bus = await connect(new MemoryHub());
    const probes = [
      await bus.subscribe('t', { group: 'g' }),
      await bus.subscribe('t', { group: 'h' }),
      await bus.subscribe('#', { group: 'g' }),
    ];
    await bus.publish(record('t', { id: 'x' }));
    expect(probes.map(({ ids }) => ids)).toEqual([['x'], ['x'], ['x']]);
  });

  it('starts where it was told to, and only when it is new', async () => {
    const clock = new ManualClock();
    const bus = await connect(new MemoryHub({ clock }));
    await bus.publish(record('t', { id: 'one' }));
    await clock.advance(1_000);
    const date = new Date(clock.now());
    await bus.publish([
      record('t', { id: 'two' }),
      record('u', { id: 'three' }),
      record('t', { id: 'four' }),
    ]);
    expect((await bus.subscribe('t', { group: 'new' })).ids).toEqual([]);
    expect((await bus.subscribe('#', { group: 'all', from: 'earliest' })).ids).toEqual([
      'one',
      'two',
      'three',
      'four',
    ]);
    expect((await bus.subscribe('#', { group: 'since', from: date })).ids).toEqual(['two', 'three', 'four']);
    expect((await bus.subscribe('t', { group: 'new', from: 'earliest' })).ids).toEqual([]);
  });

  it('shares among buses of one hub and not of another, nor across prefixes', async () => {
    const hub = new MemoryHub();
    const [a, b, other, foreign] = [
      await connect(hub),
      await connect(hub),
      await connect(hub, { prefix: 'other' }),
      await connect(new MemoryHub()),
    ];
    const probes = await Promise.all([a, b, other, foreign].map((bus) => bus.subscribe('t', { group: 'g' })));
    await a.publish(series('t', 4));
    expect(probes.map(({ ids }) => ids.length)).toEqual([2, 2, 0, 0]);
    expect(await other.broker.admin.listTopics()).toMatchObject([{ topic: 't', depth: 0 }]);
  });

  it('delivers after the call that brought the records, all of them in one batch', async () => {
    const bus = await connect(new MemoryHub());
    const probe = await bus.subscribe('t', { group: 'g' });
    void bus.broker.publish([record('t')], Number.POSITIVE_INFINITY);
    void bus.broker.publish(series('t', 2), Number.POSITIVE_INFINITY);
    expect(probe.batches).toEqual([]);
    await settled();
    expect(probe.batches).toEqual([3]);
    void probe.subscription.nack(probe.deliveries[0]!, 0);
    expect(probe.batches).toEqual([3]);
  });

  it('lets timers and sockets have their turn while a long backlog flows', async () => {
    const bus = await connect(new MemoryHub());
    await bus.broker.admin.ensureGroup('t', 'g', 'new');
    await bus.publish(series('t', 10_000));
    let turn = 0;
    const turns: number[] = [];
    const count = (): void => {
      if (turn++ < 1_000) setImmediate(count);
    };
    setImmediate(count);
    const probe = await bus.subscribe('t', { group: 'g', prefetch: 10 }).then((one) => {
      one.onDeliver = (deliveries) => {
        turns.push(turn);
        void one.subscription.ack(deliveries);
      };
      return one;
    });
    await probe.ack(...probe.ids);
    while (probe.ids.length < 10_000) await settled();
    expect(turns.at(-1)! - turns[0]!).toBeGreaterThan(5);
  });
});

describe('settling', () => {
  it('does not take an ack for earlier records', async () => {
    const bus = await connect(new MemoryHub());
    const probe = await bus.subscribe('t', { group: 'g' });
    await bus.publish(series('t', 3));
    await probe.ack('a2');
    await probe.subscription.close();
    expect((await bus.subscribe('t', { group: 'g' })).ids).toEqual(['a0', 'a1']);
  });

  it('counts the attempts of what is nacked, lost or left, and not of what is released', async () => {
    const bus = await connect(new MemoryHub());
    const probe = await bus.subscribe('t', { group: 'g', prefetch: 2 });
    await bus.publish(series('t', 2));
    await probe.nack('a0');
    await probe.release('a1');
    expect([probe.of('a0').attempt, probe.of('a1').attempt]).toEqual([2, 1]);
    await probe.subscription.close();
    const next = await bus.subscribe('t', { group: 'g', prefetch: 2 });
    expect([next.of('a0').attempt, next.of('a1').attempt]).toEqual([3, 2]);
  });

  it('brings a nacked record back when it is due, to its old place', async () => {
    const clock = new ManualClock();
    const bus = await connect(new MemoryHub({ clock }));
    const probe = await bus.subscribe('t', { group: 'g', prefetch: 1 });
    await bus.publish(series('t', 4));
    await probe.nack('a0', 5_000);
    expect(probe.ids).toEqual(['a0', 'a1']);
    await clock.advance(4_999);
    await probe.ack('a1');
    expect(probe.ids).toEqual(['a0', 'a1', 'a2']);
    await clock.advance(1);
    await probe.ack('a2');
    expect(probe.ids).toEqual(['a0', 'a1', 'a2', 'a0']);
    expect(probe.of('a0').attempt).toBe(2);
  });

  it('is harmless twice, and refused for what is elsewhere', async () => {
    const bus = await connect(new MemoryHub());
    const probe = await bus.subscribe('t', { group: 'g', prefetch: 1 });
    const other = await bus.subscribe('t', { group: 'h' });
    await bus.publish(series('t', 2));
    const first = probe.of('a0');
    await probe.nack('a0');
    expect(await probe.subscription.ack([first])).toEqual([first]);
    expect(await probe.subscription.nack(first, 0)).toEqual([first]);
    expect(await probe.subscription.ack([other.of('a0')])).toEqual([other.of('a0')]);
    expect(await probe.ack('a0')).toEqual([]);
    expect(await probe.ack('a0')).toEqual([]);
    expect(probe.ids).toEqual(['a0', 'a0', 'a1']);
  });

  it('works while paused, and nothing is delivered until resumed', async () => {
    const bus = await connect(new MemoryHub());
    const probe = await bus.subscribe('t', { group: 'g', prefetch: 2 });
    await bus.publish(series('t', 4));
    await probe.subscription.pause();
    expect(await probe.ack('a0')).toEqual([]);
    await probe.nack('a1');
    expect(probe.ids).toEqual(['a0', 'a1']);
    probe.subscription.resume();
    await settled();
    expect(probe.ids).toEqual(['a0', 'a1', 'a1', 'a2']);
  });

  it('lets nothing through that was handed out in the turn of the pause', async () => {
    const bus = await connect(new MemoryHub());
    const first = await bus.subscribe('t', { group: 'g' });
    const second = await bus.subscribe('t', { group: 'g' });
    first.onDeliver = () => void second.subscription.pause();
    await bus.publish(series('t', 2));
    expect(first.ids).toEqual(['a0', 'a1']);
    expect(second.ids).toEqual([]);
    expect(first.of('a1').attempt).toBe(1);
  });
});
