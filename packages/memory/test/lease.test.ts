import { ConnectionError, TimeoutError } from '@ambus/core';
import { describe, expect, it } from 'vitest';
import { MemoryHub } from '../src/index.ts';
import { connect, failure, record, series, type TestBus } from './support/bus.ts';
import { ManualClock, settled } from './support/clock.ts';

async function setUp(
  lease = 30_000,
): Promise<{ clock: ManualClock; hub: MemoryHub; a: TestBus; b: TestBus }> {
  const clock = new ManualClock();
  const hub = new MemoryHub({ clock, lease });
  return { clock, hub, a: await connect(hub, { id: 'a' }), b: await connect(hub, { id: 'b' }) };
}

describe('a lease', () => {
  it('is kept for as long as the bus is connected', async () => {
    const { clock, a, b } = await setUp();
    const probe = await a.subscribe('t', { group: 'g' });
    await a.publish(record('t', { id: 'x' }));
    const other = await b.subscribe('t', { group: 'g' });
    await clock.advance(3_600_000);
    expect(other.ids).toEqual([]);
    expect(await probe.ack('x')).toEqual([]);
    expect(clock.timers).toBe(0);
  });

  it('runs out after a crash: the records go to others, counted, and nothing of the dead bus counts', async () => {
    const { clock, hub, a, b } = await setUp(10_000);
    const probe = await a.subscribe('t', { group: 'g', prefetch: 2 });
    await a.publish(series('t', 3));
    const other = await b.subscribe('t', { group: 'g' });
    hub.crash('a');
    await settled();
    expect(other.ids).toEqual(['a2']);
    expect(await failure(probe.ack('a0'))).toBeInstanceOf(ConnectionError);
    expect(await failure(a.publish(record('t')))).toBeInstanceOf(ConnectionError);
    await clock.advance(9_999);
    expect(other.ids).toEqual(['a2']);
    await clock.advance(1);
    await settled();
    expect(other.ids).toEqual(['a2', 'a0', 'a1']);
    expect(other.of('a0').attempt).toBe(2);
    expect(probe.lostOnes).toEqual([]);
    expect(await b.broker.admin.listGroups()).toMatchObject([{ members: 1, inFlight: 3, depth: 3 }]);
  });

  it('is not cut short by what a dead bus does', async () => {
    const { clock, hub, a, b } = await setUp(10_000);
    const probe = await a.subscribe('t', { group: 'g' });
    const live = await a.subscribe('t');
    await a.publish(record('t', { id: 'x' }));
    const other = await b.subscribe('t', { group: 'g' });
    hub.crash('a');
    for (const { subscription } of [probe, live]) {
      await subscription.pause();
      await subscription.close();
    }
    await a.broker.close();
    await clock.advance(9_999);
    expect(other.ids).toEqual([]);
    expect(await b.broker.admin.listGroups()).toMatchObject([{ members: 2 }]);
    await clock.advance(1);
    expect(other.ids).toEqual(['x']);
    expect(await b.broker.admin.listGroups()).toMatchObject([{ members: 1 }]);
    expect(clock.timers).toBe(0);
  });

  it('runs out when a bus is closed that is cut off, and not before', async () => {
    const { clock, hub, a, b } = await setUp(10_000);
    const probe = await a.subscribe('t', { group: 'g' });
    const live = await a.subscribe('t');
    await a.publish(record('t', { id: 'x' }));
    const other = await b.subscribe('t', { group: 'g' });
    hub.disconnect('a');
    await clock.advance(4_000);
    for (const { subscription } of [probe, live]) await subscription.close();
    await a.broker.close();
    await clock.advance(5_999);
    expect(other.ids).toEqual([]);
    await clock.advance(1);
    expect(other.ids).toEqual(['x']);
    expect(other.of('x').attempt).toBe(2);
    expect(await b.broker.admin.listGroups()).toMatchObject([{ members: 1 }]);
    expect(clock.timers).toBe(0);
  });

  it('that has run out in a cut leaves nothing to wait for', async () => {
    const { clock, hub, a, b } = await setUp(10_000);
    await a.subscribe('t', { group: 'g' });
    hub.disconnect('a');
    await clock.advance(10_000);
    await a.broker.close();
    expect(await b.broker.admin.listGroups()).toMatchObject([{ members: 0 }]);
    expect(clock.timers).toBe(0);
  });

  it('of a key keeps the key from others until it runs out', async () => {
    const { clock, hub, a, b } = await setUp(10_000);
    await a.subscribe('t', { group: 'g', prefetch: 1 });
    await a.publish(series('t', 3, { key: 'k' }));
    const other = await b.subscribe('t', { group: 'g', prefetch: 12 });
    hub.crash('a');
    await clock.advance(9_999);
    expect(other.ids).toEqual([]);
    await clock.advance(1);
    await settled();
    expect(other.ids).toEqual(['a0', 'a1', 'a2']);
  });

  it('outlives a short cut of the connection', async () => {
    const { clock, hub, a, b } = await setUp();
    const probe = await a.subscribe('t', { group: 'g' });
    await a.publish(record('t', { id: 'x' }));
    const other = await b.subscribe('t', { group: 'g' });
    hub.disconnect('a');
    await clock.advance(29_999);
    const late = probe.subscription.ack(probe.deliveries);
    await clock.advance(0);
    hub.reconnect('a');
    expect(await late).toEqual([]);
    await clock.advance(60_000);
    expect([other.ids, probe.lostOnes]).toEqual([[], []]);
    expect(a.events).toEqual(['disconnected', 'reconnected']);
  });

  it('is lost in a long one: core hears of it, and a late settlement is refused', async () => {
    const { clock, hub, a, b } = await setUp();
    const probe = await a.subscribe('t', { group: 'g' });
    await a.publish(series('t', 2));
    const other = await b.subscribe('t', { group: 'g' });
    hub.disconnect('a');
    const held = probe.subscription.ack([probe.of('a0')]);
    await clock.advance(30_000);
    expect(other.ids).toEqual(['a0', 'a1']);
    expect(other.of('a1').attempt).toBe(2);
    expect(probe.lostOnes).toEqual([]);
    hub.reconnect('a');
    expect(await held).toEqual([probe.of('a0')]);
    expect(probe.lostOnes.map(({ record }) => record.id)).toEqual(['a0', 'a1']);
    expect(await probe.nack('a1')).toEqual([probe.of('a1')]);
    expect(await other.ack('a0', 'a1')).toEqual([]);
    await b.publish(series('t', 2, {}, 'b'));
    expect([probe.ids.length, other.ids.length]).toEqual([3, 3]);
  });
});

describe('a cut connection', () => {
  it('holds publishes back, in order, and stores them when it is back', async () => {
    const { clock, hub, a } = await setUp();
    hub.disconnect();
    const first = a.publish(record('t', { id: 'one' }), clock.now() + 1_000);
    const second = a.publish(record('t', { id: 'two' }), clock.now() + 1_000);
    await settled();
    expect(hub.records('t')).toEqual([]);
    hub.reconnect();
    await Promise.all([first, second]);
    expect(hub.records('t').map(({ id }) => id)).toEqual(['one', 'two']);
    expect(clock.timers).toBe(0);
  });

  it('fails a publish at its deadline, and never stores it later', async () => {
    const { clock, hub, a } = await setUp();
    hub.disconnect('a');
    const late = failure(a.publish(record('t'), clock.now() + 1_000));
    await clock.advance(1_000);
    expect(await late).toBeInstanceOf(TimeoutError);
    hub.reconnect('a');
    await settled();
    expect(hub.records('t')).toEqual([]);
    expect(await failure(a.publish(record('t'), clock.now()))).toBeInstanceOf(TimeoutError);
  });

  it('misses nothing durable and what is ephemeral', async () => {
    const { hub, a, b } = await setUp();
    const live = await a.subscribe('t');
    const ephemeral = await a.subscribe('e', { channel: 'ephemeral' });
    hub.disconnect('a');
    await b.publish([record('t', { id: 'x' }), record('e', { id: 'y', channel: 'ephemeral' })]);
    expect(live.ids).toEqual([]);
    hub.reconnect('a');
    await settled();
    await b.publish(record('e', { id: 'z', channel: 'ephemeral' }));
    expect([live.ids, ephemeral.ids]).toEqual([['x'], ['z']]);
  });

  it('ends a subscription that was closed meanwhile when it is back', async () => {
    const { hub, a, b } = await setUp();
    const probe = await a.subscribe('t', { group: 'g' });
    const live = await a.subscribe('t');
    await a.publish(record('t', { id: 'x' }));
    const other = await b.subscribe('t', { group: 'g' });
    hub.disconnect('a');
    for (const { subscription } of [probe, live]) await subscription.close();
    await settled();
    expect(other.ids).toEqual([]);
    hub.reconnect('a');
    await settled();
    expect(other.ids).toEqual(['x']);
    await b.publish(record('t', { id: 'y' }));
    expect([probe.ids, live.ids, other.ids]).toEqual([['x'], ['x'], ['x', 'y']]);
  });

  it('does not bring back a subscription that was closed meanwhile', async () => {
    const { hub, a, b } = await setUp();
    const probe = await a.subscribe('t', { group: 'g' });
    hub.disconnect('a');
    await probe.subscription.close();
    hub.wipe();
    hub.reconnect('a');
    await settled();
    expect(a.events).toEqual(['disconnected', 'reconnected']);
    expect(await b.broker.admin.listGroups()).toEqual([]);
  });

  it('lets subscribe and admin wait for it, and a close ends their waiting', async () => {
    const { hub, a } = await setUp();
    hub.disconnect('a');
    const pending = a.subscribe('t', { group: 'g' });
    hub.reconnect('a');
    await pending;
    await a.publish(record('t', { id: 'x' }));
    expect((await pending).ids).toEqual(['x']);
    hub.disconnect('a');
    const never = failure(a.broker.admin.listTopics());
    await a.broker.close();
    expect(await never).toMatchObject({ code: 'CLOSED' });
  });

  it('is named by a bus that is there', () => {
    expect(() => new MemoryHub().disconnect('nobody')).toThrow(/nobody/);
  });
});

describe('a wipe', () => {
  it('loses everything, and subscriptions go on with one warning', async () => {
    const { clock, hub, a } = await setUp();
    const probe = await a.subscribe('t.#', { group: 'g', prefetch: 1 });
    const live = await a.subscribe('t.#');
    await a.publish([
      ...series('t.a', 3, { key: 'k' }),
      record('t.a', { id: 'later', deliverAt: clock.now() + 10 }),
    ]);
    await probe.nack('a0', 10);
    hub.wipe();
    await settled();
    expect(clock.timers).toBe(0);
    expect(await a.broker.admin.listTopics()).toEqual([]);
    expect(a.events).toEqual(['warning']);
    await clock.advance(1_000);
    expect(probe.ids).toEqual(['a0', 'a1']);
    await a.publish(record('t.b', { id: 'new', key: 'k' }));
    expect(live.ids.at(-1)).toBe('new');
    // What the member had before still takes its credit.
    expect(probe.ids).toEqual(['a0', 'a1']);
    expect(await probe.nack('a1')).toEqual([probe.of('a1')]);
    expect(probe.ids).toEqual(['a0', 'a1', 'new']);
    expect(await probe.ack('new')).toEqual([]);
  });

  it('reaches a cut bus when it is back', async () => {
    const { hub, a, b } = await setUp();
    const probe = await a.subscribe('t', { group: 'g' });
    hub.disconnect('a');
    hub.wipe();
    await b.publish(record('t', { id: 'missed' }));
    expect(a.events).toEqual(['disconnected']);
    hub.reconnect('a');
    await b.publish(record('t', { id: 'x' }));
    expect(probe.ids).toEqual(['x']);
    expect(a.events).toEqual(['disconnected', 'warning', 'reconnected']);
  });

  it('fails a subscription that may not create its group', async () => {
    const { hub, a } = await setUp();
    await a.broker.admin.ensureTopic('t');
    await a.broker.admin.ensureGroup('t', 'g', 'new');
    const strict = await connect(hub, { provision: 'check' });
    const probe = await strict.subscribe('t', { group: 'g' });
    hub.wipe();
    await settled();
    expect(probe.failure).toMatchObject({ code: 'CONFIG' });
  });
});
