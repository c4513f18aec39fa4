import { NoRespondersError, UnsupportedError } from '@ambus/core';
import { describe, expect, it } from 'vitest';
import { MemoryHub } from '../src/index.ts';
import { connect, failure, record, series } from './support/bus.ts';
import { ManualClock, settled } from './support/clock.ts';

describe('a live subscription', () => {
  it('gets its own copy of everything after it, within its prefetch', async () => {
    const bus = await connect(new MemoryHub());
    await bus.publish(record('t', { id: 'before' }));
    const [a, b] = [await bus.subscribe('t', { prefetch: 2 }), await bus.subscribe('#')];
    await bus.publish(series('t', 3));
    expect([a.ids, b.ids]).toEqual([
      ['a0', 'a1'],
      ['a0', 'a1', 'a2'],
    ]);
    await a.ack('a1');
    expect(a.ids).toEqual(['a0', 'a1', 'a2']);
    expect(a.of('a2').attempt).toBe(1);
  });

  it('replays without a gap and without a duplicate', async () => {
    const clock = new ManualClock();
    const bus = await connect(new MemoryHub({ clock }));
    await bus.publish(series('t.a', 2, {}, 'x'));
    await clock.advance(1_000);
    const date = new Date(clock.now());
    await bus.publish(series('t.b', 2, {}, 'y'));
    const all = bus.subscribe('t.*', { from: 'earliest', prefetch: 2 });
    const since = bus.subscribe('t.*', { from: date });
    await bus.publish(series('t.a', 1, {}, 'z'));
    const probe = (await all).consume();
    await probe.ack('x0', 'x1');
    expect(probe.ids).toEqual(['x0', 'x1', 'y0', 'y1', 'z0']);
    expect((await since).ids).toEqual(['y0', 'y1', 'z0']);
  });

  it('leaves nothing behind, on close or after a crash', async () => {
    const hub = new MemoryHub();
    const [bus, doomed] = [await connect(hub), await connect(hub, { id: 'doomed' })];
    const probe = await bus.subscribe('t', { prefetch: 1 });
    const other = await doomed.subscribe('t');
    await bus.publish(series('t', 2));
    await probe.subscription.close();
    hub.crash('doomed');
    await bus.publish(series('t', 2));
    expect([probe.ids, other.ids]).toEqual([['a0'], ['a0', 'a1']]);
    expect(await bus.broker.admin.listGroups()).toEqual([]);
  });

  it('refuses to nack or release', async () => {
    const bus = await connect(new MemoryHub());
    const probe = await bus.subscribe('t');
    await bus.publish(record('t', { id: 'x' }));
    expect(await failure(probe.nack('x'))).toBeInstanceOf(UnsupportedError);
    expect(await failure(probe.release('x'))).toBeInstanceOf(UnsupportedError);
  });
});

describe('an ephemeral topic', () => {
  const channel = 'ephemeral';

  it('reaches who listens, one of each group, and is stored nowhere', async () => {
    const hub = new MemoryHub();
    const bus = await connect(hub);
    await bus.publish(record('e', { id: 'missed', channel }));
    const [a, b, live] = [
      await bus.subscribe('e', { channel, group: 'g' }),
      await bus.subscribe('e', { channel, group: 'g' }),
      await bus.subscribe('#', { channel }),
    ];
    const durable = await bus.subscribe('#');
    await bus.publish(series('e', 2, { channel }));
    expect([a.ids, b.ids, live.ids, durable.ids]).toEqual([['a0'], ['a1'], ['a0', 'a1'], []]);
    expect(hub.records('e')).toEqual([]);
    expect(await bus.broker.admin.listTopics()).toEqual([]);
  });

  it('keeps a group for as long as it has a member', async () => {
    const bus = await connect(new MemoryHub());
    const [a, b] = [
      await bus.subscribe('e', { channel, group: 'g' }),
      await bus.subscribe('e', { channel, group: 'g' }),
    ];
    await a.subscription.close();
    await bus.publish(series('e', 2, { channel }));
    expect(b.ids).toEqual(['a0', 'a1']);
  });

  it('forgets a group with its last member', async () => {
    const bus = await connect(new MemoryHub());
    const probe = await bus.subscribe('e', { channel, group: 'g', prefetch: 1 });
    await bus.publish(series('e', 3, { channel }));
    await probe.subscription.close();
    await bus.publish(record('e', { id: 'x', channel }));
    const next = await bus.subscribe('e', { channel, group: 'g' });
    await bus.publish(record('e', { id: 'y', channel }));
    expect(next.ids).toEqual(['y']);
  });

  it('takes back the credit of what was settled after a cut', async () => {
    const hub = new MemoryHub();
    const bus = await connect(hub, { id: 'a' });
    const probe = await bus.subscribe('e', { channel, prefetch: 1 });
    await bus.publish(record('e', { id: 'x', channel }));
    hub.disconnect('a');
    hub.reconnect('a');
    await bus.publish(record('e', { id: 'y', channel }));
    expect(probe.ids).toEqual(['x']);
    expect(await probe.ack('x')).toEqual([]);
    expect(probe.ids).toEqual(['x', 'y']);
    expect(bus.events).not.toContain('warning');
  });
});

describe('a request', () => {
  const channel = 'request';

  it('reaches each responder and one of each group', async () => {
    const bus = await connect(new MemoryHub());
    const probes = [
      await bus.subscribe('q', { channel, group: 'g' }),
      await bus.subscribe('q', { channel, group: 'g' }),
      await bus.subscribe('q', { channel }),
    ];
    await bus.publish(record('q', { channel }));
    expect(probes.map(({ ids }) => ids.length)).toEqual([1, 0, 1]);
  });

  it('without a responder is reported by its index, the others are accepted', async () => {
    const hub = new MemoryHub();
    const bus = await connect(hub, { id: 'a' });
    const probe = await bus.subscribe('q', { channel });
    const records = [record('t'), record('nobody', { channel }), record('q', { id: 'x', channel })];
    const error = await failure(bus.publish(records));
    expect(error.failures).toMatchObject([{ index: 1 }]);
    expect(error.failures[0].error).toBeInstanceOf(NoRespondersError);
    await settled();
    expect([probe.ids, hub.records('t').length]).toEqual([['x'], 1]);
    hub.disconnect('a');
    const other = await connect(hub);
    expect((await failure(other.publish(record('q', { channel })))).failures).toHaveLength(1);
  });

  it('is answered at an address of its bus alone, for as long as that is open', async () => {
    const hub = new MemoryHub();
    const [a, b] = [await connect(hub, { id: 'a' }), await connect(hub, { id: 'b' })];
    const [first, second] = [await a.inbox(), await b.inbox()];
    const reply = (id: string) => record(first.inbox.address, { id, channel: 'reply' });
    await b.publish([reply('one'), reply('two')]);
    hub.disconnect('a');
    await b.publish(reply('dropped'));
    hub.reconnect('a');
    await b.publish(reply('three'));
    await first.inbox.close();
    await b.publish(reply('late'));
    expect([first.replies, second.replies]).toEqual([['one', 'two', 'three'], []]);
    expect((await a.inbox()).inbox.address).not.toBe(first.inbox.address);
  });
});
