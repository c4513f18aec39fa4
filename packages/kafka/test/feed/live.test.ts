import { ConnectionError, type Delivery, type Sink, type Source } from '@ambus/core';
import { afterEach, expect, it } from 'vitest';
import { Writer } from '../../src/driver/bytes.ts';
import { encodeBatch, writeHeaders } from '../../src/driver/records.ts';
import type { Request } from '../../src/driver/request.ts';
import type { Entry } from '../../src/feed/entry.ts';
import { LiveSubscription } from '../../src/feed/live.ts';
import type { Hub } from '../../src/hub.ts';
import { type Kind, Names } from '../../src/names.ts';

const NAME = 'ambus.t';
const END = 5;
const SOURCE: Source = {
  pattern: 't',
  group: undefined,
  channel: 'durable',
  from: 'new',
  prefetch: 100,
  order: 'skip',
};

let subscription: LiveSubscription | undefined;
afterEach(() => subscription?.close());

/** The offset in a fetch of one partition of that topic. */
function offsetIn(request: Request<unknown>): number {
  const to = new Writer();
  request.write(to);
  return Number(to.buffer.readBigInt64BE(43 + NAME.length));
}

/** A live subscription on a topic that has `END` records, gets one more, and may be away. */
async function setup() {
  const names = new Names('ambus');
  const server = { there: true, id: 'first' };
  const fetched: number[] = [];
  const got: Delivery[] = [];
  const record = { key: null, value: Buffer.from('x'), headers: writeHeaders([]), timestamp: 1 };
  const batch = Buffer.from(await encodeBatch([record], { id: 1n, epoch: 0 }, 0, 0));
  batch.writeBigInt64BE(BigInt(END));
  const known = (name: string) =>
    server.there && name === NAME ? { name, id: server.id, leaders: [1], used: false } : undefined;
  const link = {
    closed: false,
    close() {},
    async send(request: Request<unknown>) {
      const offset = offsetIn(request);
      fetched.push(offset);
      await new Promise((resolve) => setTimeout(resolve, 5));
      const records = offset === END ? batch : null;
      const place = { topic: NAME, partition: 0, error: 0 };
      return [{ ...place, highWatermark: 6, lastStable: 6, logStart: 0, aborted: [], records }];
    },
  };
  const hub = {
    settings: { maxPollRecords: 1_000, maxWait: 10, maxBytes: 1_000, maxBytesPerPartition: 1_000 },
    host: { deduplicationWindow: 60_000, provision: 'create' },
    names,
    shared: { has: () => false },
    place: (topic: string, kind: Kind) => names.place(names.base(topic), kind),
    topic: async () => known(NAME),
    listen: async () => {},
    unlisten() {},
    lostTopic() {},
    catalog: {
      known,
      seen: () => true,
      find: async (wanted: readonly string[]) => wanted.flatMap((name) => known(name) ?? []),
      refresh: async () => {},
    },
    cluster: {
      closed: false,
      dedicated: async () => link,
      send: async () => [{ topic: NAME, partition: 0, error: 0, offset: END }],
    },
  } as unknown as Hub;
  const sink: Sink = { deliver: (deliveries) => void got.push(...deliveries), lost() {}, failed() {} };
  subscription = new LiveSubscription(hub, SOURCE, sink);
  await subscription.start();
  await expect.poll(() => got.length).toBe(1);
  const { part } = got[0] as Entry;
  /** The topic is missed, and comes back. */
  const miss = (id: string): number[] => {
    server.there = false;
    subscription!.gone(part, new ConnectionError('gone', { broker: 'kafka' }));
    Object.assign(server, { there: true, id });
    fetched.length = 0;
    subscription!.topicsAppeared();
    return fetched;
  };
  return { miss, got };
}

it('goes on where it was when a topic was only away', async () => {
  const { miss, got } = await setup();
  const fetched = miss('first');
  await expect.poll(() => fetched.length).toBeGreaterThan(3);
  expect(Math.min(...fetched)).toBe(END + 1);
  expect(got).toHaveLength(1);
});

it('begins with a topic that was made again', async () => {
  const { miss } = await setup();
  const fetched = miss('second');
  await expect.poll(() => fetched).toContain(0);
});
