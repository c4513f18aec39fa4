import { ConnectionError, QueueFullError, TimeoutError } from '@ambus/core';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { MemoryHub } from '../src/index.ts';
import { connect, failure, record, series } from './support/bus.ts';
import { ManualClock, settled } from './support/clock.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

describe('a full queue', () => {
  it('lets a publish wait for room, in order', async () => {
    const hub = new MemoryHub();
    const bus = await connect(hub, { maxQueueSize: 2 });
    const probe = await bus.subscribe('t', { group: 'g', prefetch: 1 });
    const first = bus.publish(series('t', 5));
    const second = bus.publish(record('t', { id: 'last' }));
    await settled();
    expect(hub.records('t').map(({ id }) => id)).toEqual(['a0', 'a1', 'a2']);
    for (const id of ['a0', 'a1', 'a2']) await probe.ack(id);
    await Promise.all([first, second]);
    expect(hub.records('t').map(({ id }) => id)).toEqual(['a0', 'a1', 'a2', 'a3', 'a4', 'last']);
  });

  it('does not hold up other topics, so a handler can publish before it acks', async () => {
    const bus = await connect(new MemoryHub(), { maxQueueSize: 1 });
    await bus.subscribe('t', { group: 'g', prefetch: 1 });
    const waiting = bus.publish(series('t', 3));
    await bus.publish(record('other'));
    expect(await Promise.race([waiting, settled().then(() => 'waiting')])).toBe('waiting');
  });

  it('fails the publish at its deadline and names what was not stored', async () => {
    const clock = new ManualClock();
    const hub = new MemoryHub({ clock });
    const bus = await connect(hub, { maxQueueSize: 2 });
    const probe = await bus.subscribe('t', { group: 'g', prefetch: 1 });
    const partly = failure(bus.publish(series('t', 4), clock.now() + 1_000));
    const wholly = failure(bus.publish(record('t', { id: 'b' }), clock.now() + 1_000));
    await clock.advance(1_000);
    expect((await partly).failures).toMatchObject([{ index: 3, error: { code: 'TIMEOUT' } }]);
    expect(await wholly).toBeInstanceOf(TimeoutError);
    for (const id of ['a0', 'a1', 'a2']) await probe.ack(id);
    expect(hub.records('t')).toHaveLength(3);
    await bus.publish(record('t', { id: 'c' }), clock.now() + 1_000);
    expect(probe.ids.at(-1)).toBe('c');
  });

  it('is refused by index where asked for', async () => {
    const bus = await connect(new MemoryHub(), { maxQueueSize: 2, whenFull: 'fail' });
    await bus.subscribe('t');
    await bus.broker.admin.ensureGroup('t', 'g', 'new');
    const error = await failure(bus.publish([...series('t', 3), record('u')]));
    expect(error.failures).toMatchObject([{ index: 2 }]);
    expect(error.failures[0].error).toBeInstanceOf(QueueFullError);
  });

  it('is not one that its members have credit for', async () => {
    const bus = await connect(new MemoryHub(), { maxQueueSize: 1, whenFull: 'fail' });
    const probe = await bus.subscribe('t', { group: 'g', prefetch: 50 });
    await bus.publish(series('t', 51));
    expect(probe.ids).toHaveLength(50);
  });

  it('is gone with its subscription', async () => {
    const bus = await connect(new MemoryHub(), { maxQueueSize: 1 });
    const probe = await bus.subscribe('t', { prefetch: 1 });
    const waiting = bus.publish(series('t', 5));
    await settled();
    await probe.subscription.close();
    await waiting;
  });

  it('has room again when it is purged', async () => {
    const bus = await connect(new MemoryHub(), { maxQueueSize: 1 });
    await bus.broker.admin.ensureGroup('t', 'g', 'new');
    const waiting = bus.publish(series('t', 2));
    await settled();
    await bus.broker.admin.purge('t');
    await waiting;
  });
});

describe('a latency', () => {
  it('delays publishes, deliveries and settlements, and keeps their order', async () => {
    vi.spyOn(Math, 'random').mockReturnValueOnce(1).mockReturnValue(0);
    const clock = new ManualClock();
    const hub = new MemoryHub({ clock });
    const bus = await connect(hub, { latency: { min: 10, max: 30 } });
    const probe = await bus.subscribe('t', { group: 'g', prefetch: 1 });
    const published = bus.publish(record('t', { id: 'one' }), clock.now() + 100);
    void bus.publish(record('t', { id: 'two' }), clock.now() + 100);
    await clock.advance(29);
    expect(hub.records('t')).toEqual([]);
    await clock.advance(1);
    await published;
    expect(hub.records('t').map(({ id }) => id)).toEqual(['one', 'two']);
    await clock.advance(9);
    expect(probe.ids).toEqual([]);
    await clock.advance(1);
    expect(probe.ids).toEqual(['one']);
    void probe.subscription.ack(probe.deliveries);
    await clock.advance(19);
    expect(probe.ids).toEqual(['one']);
    await clock.advance(1);
    expect(probe.ids).toEqual(['one', 'two']);
    expect(clock.timers).toBe(0);
  });

  it('beyond the deadline means that nothing is stored', async () => {
    const clock = new ManualClock();
    const hub = new MemoryHub({ clock });
    const bus = await connect(hub, { latency: 500 });
    const late = failure(bus.publish(record('t'), clock.now() + 100));
    await clock.advance(100);
    expect(await late).toBeInstanceOf(TimeoutError);
    await clock.advance(1_000);
    expect(hub.records('t')).toEqual([]);
  });

  it('lets a pause stop what is under way, uncounted', async () => {
    const clock = new ManualClock();
    const bus = await connect(new MemoryHub({ clock }), { latency: 10 });
    const probe = await bus.subscribe('t', { group: 'g' });
    bus.broker.hub.publish({ topic: 't', body: new Uint8Array(), id: 'x' });
    await clock.advance(5);
    await probe.subscription.pause();
    await clock.advance(100);
    expect(probe.ids).toEqual([]);
    probe.subscription.resume();
    await clock.advance(10);
    expect(probe.of('x').attempt).toBe(1);
  });
});

describe('a failure rate', () => {
  it('rejects that share of the publishes, which then have no effect', async () => {
    const hub = new MemoryHub();
    const bus = await connect(hub, { failureRate: 0.5 });
    vi.spyOn(Math, 'random').mockReturnValueOnce(0.49).mockReturnValueOnce(0.5);
    const error = await failure(bus.publish(record('t', { id: 'lost' })));
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error.retryable).toBe(true);
    await bus.publish(record('t', { id: 'kept' }));
    expect(hub.records('t').map(({ id }) => id)).toEqual(['kept']);
  });
});

describe('a delayed publish', () => {
  it('becomes visible when it is due, however far off', async () => {
    const clock = new ManualClock();
    const hub = new MemoryHub({ clock });
    const bus = await connect(hub);
    const year = 365 * 86_400_000;
    const probe = await bus.subscribe('t', { group: 'g' });
    await bus.publish([
      record('t', { id: 'late', deliverAt: clock.now() + year }),
      record('t', { id: 'soon', deliverAt: clock.now() + 1_000 }),
      record('t', { id: 'past', deliverAt: clock.now() - 1 }),
    ]);
    expect(probe.ids).toEqual(['past']);
    expect(clock.timers).toBe(1);
    await clock.advance(999);
    expect(probe.ids).toEqual(['past']);
    await clock.advance(1);
    expect(probe.ids).toEqual(['past', 'soon']);
    await clock.advance(year);
    expect(probe.ids).toEqual(['past', 'soon', 'late']);
    expect(hub.records('t').map(({ id }) => id)).toEqual(['past', 'soon', 'late']);
    expect(clock.timers).toBe(0);
  });

  it('keeps its place among others of the same time', async () => {
    const clock = new ManualClock();
    const hub = new MemoryHub({ clock });
    const bus = await connect(hub);
    const records = series('t', 50, { deliverAt: clock.now() + 1_000 });
    await bus.publish(records);
    await clock.advance(1_000);
    expect(hub.records('t')).toEqual(records);
  });

  it('is taken back until then, and only once', async () => {
    const clock = new ManualClock();
    const bus = await connect(new MemoryHub({ clock }));
    const probe = await bus.subscribe('t');
    const deliverAt = clock.now() + 1_000;
    await bus.publish([record('t', { id: 'x', deliverAt }), record('t', { id: 'y', deliverAt })]);
    expect(await bus.broker.cancel('u', 'x', undefined)).toBe(false);
    expect(await bus.broker.cancel('t', 'x', undefined)).toBe(true);
    expect(await bus.broker.cancel('t', 'x', undefined)).toBe(false);
    await clock.advance(1_000);
    expect(probe.ids).toEqual(['y']);
    expect(await bus.broker.cancel('t', 'y', undefined)).toBe(false);
  });
});

describe('a deduplication key', () => {
  it('drops a second record of its topic within the window, exactly', async () => {
    const clock = new ManualClock();
    const bus = await connect(new MemoryHub({ clock }), { window: 1_000 });
    const probe = await bus.subscribe('#');
    const send = (id: string, topic = 't', deduplicationKey = 'k') =>
      bus.publish(record(topic, { id, deduplicationKey }));
    await clock.advance(700);
    await send('one');
    await Promise.all([send('two'), send('other', 'u'), send('free', 't', 'l')]);
    await clock.advance(999);
    await send('three');
    await clock.advance(1);
    await send('four');
    await clock.advance(999);
    await send('five');
    expect(probe.ids).toEqual(['one', 'other', 'free', 'four']);
  });

  it('is remembered for the whole window, whenever others are forgotten', async () => {
    const clock = new ManualClock();
    const hub = new MemoryHub({ clock });
    const bus = await connect(hub, { window: 1_000 });
    for (const [wait, id, deduplicationKey] of [
      [0, 'one', 'k'],
      [900, 'two', 'late'],
      [200, 'three', 'l'],
      [700, 'dropped', 'late'],
      [100, 'four', 'late'],
    ] as const) {
      await clock.advance(wait);
      await bus.publish(record('t', { id, deduplicationKey }));
    }
    expect(hub.records('t').map(({ id }) => id)).toEqual(['one', 'two', 'three', 'four']);
  });

  it('is not taken by a record that was refused', async () => {
    const bus = await connect(new MemoryHub(), { maxQueueSize: 1, whenFull: 'fail' });
    const probe = await bus.subscribe('t', { prefetch: 1 });
    await bus.publish(series('t', 2));
    await failure(bus.publish(record('t', { id: 'x', deduplicationKey: 'k' })));
    await probe.ack('a0');
    await probe.ack('a1');
    await bus.publish(record('t', { id: 'y', deduplicationKey: 'k' }));
    expect(probe.ids.at(-1)).toBe('y');
  });
});
