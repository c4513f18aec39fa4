import { describe, expect, it, vi } from 'vitest';
import { MemoryHub } from '../src/index.ts';
import { connect, failure, record, series } from './support/bus.ts';
import { ManualClock, settled } from './support/clock.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

describe('retention', () => {
  it('keeps ten thousand where nothing is said', async () => {
    const hub = new MemoryHub();
    const bus = await connect(hub);
    await bus.publish(series('t', 10_005));
    expect(hub.records('t')).toHaveLength(10_000);
    expect(hub.records('t')[0]!.id).toBe('a5');
    expect(await bus.broker.admin.listTopics()).toMatchObject([
      { depth: 10_000, retention: { maxMessages: 10_000 } },
    ]);
  });

  it('follows the topic, by number and by age, and takes nothing from a group', async () => {
    const clock = new ManualClock();
    const hub = new MemoryHub({ clock });
    const bus = await connect(hub, { retention: { maxMessages: 3, maxAge: 1_000 } });
    await bus.broker.admin.ensureGroup('t', 'g', 'new');
    await bus.publish(series('t', 5));
    expect(hub.records('t').map(({ id }) => id)).toEqual(['a2', 'a3', 'a4']);
    await clock.advance(500);
    await bus.publish(record('t', { id: 'b' }));
    await clock.advance(500);
    expect(hub.records('t').map(({ id }) => id)).toEqual(['b']);
    expect((await bus.broker.admin.browse('t', undefined, 10)).records).toHaveLength(1);
    expect((await bus.subscribe('t', { from: 'earliest' })).ids).toEqual(['b']);
    expect((await bus.subscribe('t', { group: 'g' })).ids).toEqual(['a0', 'a1', 'a2', 'a3', 'a4', 'b']);
  });

  it('by age alone has no limit of number', async () => {
    const hub = new MemoryHub();
    const bus = await connect(hub, { retention: { maxAge: 60_000 } });
    await bus.publish(series('t', 12_000));
    expect(hub.records('t')).toHaveLength(12_000);
  });
});

describe('browse', () => {
  it('reads page by page without consuming', async () => {
    const bus = await connect(new MemoryHub());
    await bus.publish(series('t', 5));
    const pages: string[][] = [];
    let cursor: string | undefined;
    do {
      const page = await bus.broker.admin.browse('t', cursor, 2);
      pages.push(page.records.map(({ record }) => record.id));
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect(pages).toEqual([['a0', 'a1'], ['a2', 'a3'], ['a4']]);
    expect(await bus.broker.admin.browse('none', undefined, 2)).toEqual({ records: [], cursor: undefined });
    expect(await failure(bus.broker.admin.browse('t', 'x', 2))).toMatchObject({ code: 'VALIDATION' });
  });

  it('lets others run between the pages of a long scan', async () => {
    const bus = await connect(new MemoryHub());
    await bus.publish(series('t', 20));
    let turns = 0;
    const turn = (): void => {
      turns++;
      if (turns < 10) setImmediate(turn);
    };
    setImmediate(turn);
    let cursor: string | undefined;
    for (let page = 0; page < 10; page++) {
      ({ cursor } = await bus.broker.admin.browse('t', cursor, 2));
    }
    expect(turns).toBe(10);
  });

  it('works beside the fake timers of a test runner', async () => {
    const bus = await connect(new MemoryHub());
    vi.useFakeTimers();
    try {
      expect(await bus.broker.admin.browse('t', undefined, 2)).toMatchObject({ records: [] });
    } finally {
      vi.useRealTimers();
    }
  });

  it('goes on from a cursor whose record is gone', async () => {
    const bus = await connect(new MemoryHub());
    const { admin } = bus.broker;
    await bus.publish(series('t', 5));
    const { cursor } = await admin.browse('t', undefined, 2);
    await admin.remove('t', [cursor!]);
    expect((await admin.browse('t', cursor, 9)).records.map(({ record }) => record.id)).toEqual(['a3', 'a4']);
  });
});

describe('remove', () => {
  it('takes single records away, at once and from everybody', async () => {
    const bus = await connect(new MemoryHub());
    const { admin } = bus.broker;
    const probe = await bus.subscribe('t', { group: 'g', prefetch: 1 });
    await bus.publish([...series('t', 3), ...series('t', 2, { key: 'k' }, 'k')]);
    const at = (await admin.browse('t', undefined, 9)).records.map(({ position }) => position);
    expect(await admin.remove('t', [at[1]!, at[3]!, '999', 'x'])).toBe(2);
    expect((await admin.browse('t', undefined, 9)).records.map(({ record }) => record.id)).toEqual([
      'a0',
      'a2',
      'k1',
    ]);
    for (const id of ['a0', 'a2', 'k1']) await probe.ack(id);
    expect(probe.ids).toEqual(['a0', 'a2', 'k1']);
    expect(await admin.listGroups()).toMatchObject([{ depth: 0 }]);
  });
});

describe('purge', () => {
  it('takes everything: waiting, delayed, in a retry, with a member', async () => {
    const clock = new ManualClock();
    const hub = new MemoryHub({ clock });
    const bus = await connect(hub, { retention: { maxMessages: 2 } });
    const { admin } = bus.broker;
    const probe = await bus.subscribe('#', { group: 'g', prefetch: 8, order: 'block' });
    await bus.publish(series('t', 6, { key: 'k' }));
    await bus.publish([record('u', { id: 'u' }), record('t', { id: 'd', deliverAt: clock.now() + 50 })]);
    await probe.nack('a0', 100);
    expect(await admin.purge('t')).toBe(7);
    expect(hub.records('t')).toEqual([]);
    expect(await admin.listGroups()).toMatchObject([{ depth: 1, inFlight: 1 }]);
    expect(await probe.nack('a1', 0)).toEqual([probe.of('a1')]);
    await clock.advance(1_000);
    expect(probe.ids).toEqual(['a0', 'a1', 'u']);
    await bus.publish(record('t', { id: 'next', key: 'k' }));
    expect(probe.ids.at(-1)).toBe('next');
    expect(await admin.purge('none')).toBe(0);
  });
});

describe('topics and groups', () => {
  it('are listed with what is in them', async () => {
    const bus = await connect(new MemoryHub());
    const { admin } = bus.broker;
    const probe = await bus.subscribe('t', { group: 'g', prefetch: 2 });
    await bus.publish(series('t', 4));
    await probe.nack('a0', 60_000);
    await probe.ack('a1');
    expect(await admin.listGroups()).toEqual([
      { group: 'g', pattern: 't', depth: 3, inFlight: 2, members: 1 },
    ]);
    expect(await admin.listTopics()).toMatchObject([{ topic: 't', depth: 4 }]);
  });

  it('are left as they are when they exist', async () => {
    const bus = await connect(new MemoryHub());
    const { admin } = bus.broker;
    await bus.publish(record('t', { id: 'x' }));
    await admin.ensureTopic('t');
    await admin.ensureGroup('t', 'g', 'earliest');
    await admin.ensureGroup('t', 'g', 'new');
    expect((await bus.subscribe('t', { group: 'g' })).ids).toEqual(['x']);
  });

  it('are gone when they are deleted, and members hear of it', async () => {
    const bus = await connect(new MemoryHub());
    const { admin } = bus.broker;
    const probe = await bus.subscribe('t', { group: 'g', prefetch: 1 });
    await bus.publish([...series('t', 2), record('t', { deduplicationKey: 'k' })]);
    expect(await admin.deleteGroup('t', 'g')).toBe(true);
    expect(await admin.deleteGroup('t', 'g')).toBe(false);
    expect(probe.failure?.message).toMatch(/"g".*"t"/);
    expect(await probe.ack('a0')).toHaveLength(1);
    expect(probe.ids).toEqual(['a0']);
    expect(await admin.deleteTopic('t')).toBe(true);
    expect(await admin.deleteTopic('t')).toBe(false);
    expect(await admin.listTopics()).toEqual([]);
    const live = await bus.subscribe('t');
    await bus.publish(record('t', { id: 'again', deduplicationKey: 'k' }));
    expect(live.ids).toEqual(['again']);
  });
});

describe.each(['check', 'none'] as const)('provision %s', (provision) => {
  it('names what is missing and creates nothing', async () => {
    const hub = new MemoryHub();
    const [strict, open] = [await connect(hub, { provision }), await connect(hub)];
    const refused = await failure(strict.publish(record('t')));
    expect(refused.failures[0].error).toMatchObject({ code: 'CONFIG', topic: 't' });
    expect(await failure(strict.subscribe('t', { group: 'g' }))).toMatchObject({
      code: 'CONFIG',
      topic: 't',
    });
    expect(await failure(strict.subscribe('t'))).toMatchObject({ code: 'CONFIG' });
    expect(await failure(strict.subscribe('t.*', { group: 'g' }))).toMatchObject({ code: 'CONFIG' });
    expect(await open.broker.admin.listTopics()).toEqual([]);
    await strict.broker.admin.ensureTopic('t');
    expect((await failure(strict.subscribe('t', { group: 'g' }))).message).toMatch(/group "g"/);
    await open.broker.admin.ensureGroup('t', 'g', 'new');
    const probe = await strict.subscribe('t', { group: 'g' });
    await strict.publish(record('t', { id: 'x' }));
    expect(probe.ids).toEqual(['x']);
  });
});

describe('a foreign producer', () => {
  it('is delivered as it is', async () => {
    const clock = new ManualClock();
    const hub = new MemoryHub({ clock });
    const bus = await connect(hub);
    const probe = await bus.subscribe('t');
    const body = text('not ours');
    const stored = hub.publish({ topic: 't', body });
    await settled();
    expect(probe.deliveries[0]!.record).toBe(stored);
    expect(stored.body).toBe(body);
    expect(stored).toMatchObject({
      time: clock.now(),
      contentType: undefined,
      priority: 2,
      id: expect.any(String),
    });
    expect(hub.records('t')).toEqual([stored]);
    expect(() => hub.publish({ topic: 't', body: 'text' as any })).toThrow(/body/);
    expect(() => hub.publish({ topic: 'q', body, channel: 'request' })).toThrow(/"q"/);
  });
});
