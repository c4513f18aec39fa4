import { ConfigError, type MessageTooLargeError } from '@ambus/core';
import { describe, expect, it, vi } from 'vitest';
import { MemoryHub, memory } from '../src/index.ts';
import { connect, failure, record, TestBus } from './support/bus.ts';
import { ManualClock } from './support/clock.ts';

describe('options', () => {
  it.each([
    [{ hub: '' }, 'hub'],
    [{ hub: 5 }, 'hub'],
    [{ url: 'redis://user:secret@host' }, 'url'],
    [{ url: 'memory://a/b' }, 'url'],
    [{ url: 5 }, 'url'],
    [{ latency: -1 }, 'latency'],
    [{ latency: null }, 'latency'],
    [{ latency: { min: 5, max: 1 } }, 'latency'],
    [{ failureRate: 1.1 }, 'failureRate'],
    [{ maxQueueSize: 0 }, 'maxQueueSize'],
    [{ whenFull: 'drop' }, 'whenFull'],
    [{ maxMessageBytes: 1.5 }, 'maxMessageBytes'],
    [{ lease: 0 }, 'lease'],
    [{ clock: {} }, 'clock'],
    [{ lesae: 5 }, 'lesae'],
  ])('are refused when they are wrong: %j', (options, name) => {
    const attempt = (): unknown => memory(options as any);
    expect(attempt).toThrow(ConfigError);
    expect(attempt).toThrow(new RegExp(`"${name}"`));
    expect(attempt).not.toThrow(/secret/);
  });

  it('of a hub are refused as well', () => {
    for (const wrong of [{ name: 'a b' }, { clock: 1 }, { lease: -1 }, { x: 1 }]) {
      expect(() => new MemoryHub(wrong as any)).toThrow(ConfigError);
    }
  });

  it('show in the capabilities, which are frozen', () => {
    const { capabilities } = memory({ hub: new MemoryHub(), maxMessageBytes: 100, lease: 7 });
    expect(capabilities.limits).toMatchObject({
      maxBodyBytes: 100,
      lease: 7,
      maxNativeDelay: Number.POSITIVE_INFINITY,
    });
    expect(memory({ hub: new MemoryHub({ lease: 9 }) }).capabilities.limits).toMatchObject({
      maxBodyBytes: 8 * 1024 * 1024,
      lease: 9,
    });
    expect(Object.isFrozen(capabilities) && Object.isFrozen(capabilities.limits)).toBe(true);
  });

  it('limit the body', async () => {
    const bus = await connect(new MemoryHub(), { maxMessageBytes: 3 });
    await bus.publish(record('t', { body: new Uint8Array(3) }));
    const { failures } = await failure(bus.publish(record('t', { body: new Uint8Array(4) })));
    expect(failures[0].error as MessageTooLargeError).toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      size: 4,
      limit: 3,
    });
  });
});

describe('a hub', () => {
  it('is found by name or url, one for the process', () => {
    expect(memory().hub).toBe(memory({ url: 'memory://' }).hub);
    expect(memory().hub).toBe(memory({ hub: 'default' }).hub);
    expect(memory({ url: 'memory://n1' }).hub).toBe(memory({ hub: 'n1', url: 'memory://n1' }).hub);
    expect(memory({ hub: 'n1' }).hub).not.toBe(memory().hub);
    expect(() => memory({ hub: 'n1', url: 'memory://n2' })).toThrow(/"n2".*"n1"/);
    expect(new MemoryHub({ name: 'n1' })).not.toBe(memory({ hub: 'n1' }).hub);
  });

  it('is shared with another copy of the package', async () => {
    vi.resetModules();
    const copy = await import('../src/index.ts');
    expect(copy.memory).not.toBe(memory);
    expect(copy.memory({ hub: 'shared' }).hub).toBe(memory({ hub: 'shared' }).hub);
    const hub = new MemoryHub();
    expect(copy.memory({ hub }).hub).toBe(hub);
  });

  it('has one clock', () => {
    const clock = new ManualClock();
    expect(memory({ hub: 'clocked', clock }).clock).toBe(clock);
    expect(memory({ hub: 'clocked' }).clock).toBe(clock);
    expect(() => memory({ hub: 'clocked', clock: new ManualClock() })).toThrow(/clock/);
    expect(() => memory({ hub: new MemoryHub(), clock })).toThrow(/clock/);
  });
});

describe('a broker', () => {
  it('serves one bus', async () => {
    const bus = await connect(new MemoryHub());
    expect(await failure(bus.open())).toBeInstanceOf(ConfigError);
  });

  it('closes as often as it is asked to, before a connect too, and is then of no use', async () => {
    const clock = new ManualClock();
    const hub = new MemoryHub({ clock });
    const bus = await connect(hub, { latency: 5, id: 'a' });
    const probe = await bus.subscribe('t', { group: 'g' });
    const pending = [
      failure(bus.publish(record('t'), clock.now() + 500)),
      failure(probe.subscription.ack([])),
    ];
    await Promise.all([bus.broker.close(), bus.broker.close()]);
    for (const error of await Promise.all(pending)) expect(error).toMatchObject({ code: 'CLOSED' });
    expect(clock.timers).toBe(0);
    for (const call of [
      bus.publish(record('t')),
      bus.subscribe('t'),
      bus.inbox(),
      bus.broker.cancel('t', 'x', undefined),
      bus.broker.admin.listTopics(),
      bus.open(),
    ]) {
      expect(await failure(call)).toMatchObject({ code: 'CLOSED' });
    }
    expect(() => hub.disconnect('a')).toThrow(ConfigError);
    const never = new TestBus(hub);
    expect(await failure(never.publish(record('t')))).toBeInstanceOf(ConfigError);
    await never.broker.close();
    expect(await failure(never.open())).toMatchObject({ code: 'CLOSED' });
  });

  it('gives what its subscriptions have to others when it closes', async () => {
    const hub = new MemoryHub();
    const [bus, other] = [await connect(hub), await connect(hub)];
    await bus.subscribe('t', { group: 'g' });
    await bus.publish(record('t', { id: 'x' }));
    await bus.broker.close();
    expect((await other.subscribe('t', { group: 'g' })).of('x').attempt).toBe(2);
  });

  it('shows the hub as its native client, and the record as its native message', async () => {
    const hub = new MemoryHub();
    const bus = await connect(hub);
    const probe = await bus.subscribe('t');
    const one = record('t', { id: 'x' });
    await bus.publish([one]);
    expect(bus.broker.native()).toBe(hub);
    expect(probe.of('x').native).toBe(one);
    expect(probe.of('x').record).toBe(one);
    await bus.publish([]);
  });
});
