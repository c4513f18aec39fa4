import { UnsupportedError } from '@ambus/core';
import { afterEach, expect, it } from 'vitest';
import { Writer } from '../../src/driver/bytes.ts';
import type { Cluster } from '../../src/driver/cluster.ts';
import { Code } from '../../src/driver/errors.ts';
import { type Fetched, fetch } from '../../src/driver/log-requests.ts';
import { encodeBatch, writeHeaders } from '../../src/driver/records.ts';
import type { Request } from '../../src/driver/request.ts';
import { LogReader, type Track } from '../../src/read/reader.ts';
import type { Catalog } from '../../src/topics/catalog.ts';

const LIMITS = { maxWait: 10, minBytes: 1, maxBytes: 1_000, maxBytesPerPartition: 1_000 };
let reader: LogReader | undefined;
afterEach(() => reader?.close());

/** The partitions that a fetch asks for, in its order. */
function asked(request: Request<unknown>): number[] {
  const to = new Writer();
  request.write(to);
  const one = new Writer();
  fetch([{ topic: 't', partition: 0, offset: 0 }], LIMITS).write(one);
  const size = 4 + 4 + 8 + 8 + 4;
  const body = to.buffer;
  const first = one.buffer.length - size - 6;
  const count = body.readInt32BE(first - 4);
  return Array.from({ length: count }, (_, index) => body.readInt32BE(first + index * size));
}

function readerOf(answer: (partitions: number[]) => Partial<Fetched>[] | Promise<Partial<Fetched>[]>) {
  const fetches: number[][] = [];
  let refreshes = 0;
  const link = {
    closed: false,
    close() {},
    async send(request: Request<unknown>) {
      const partitions = asked(request);
      fetches.push(partitions);
      await new Promise((resolve) => setTimeout(resolve, 1));
      return (await answer(partitions)).map((one) => ({
        topic: 't',
        error: 0,
        highWatermark: 0,
        lastStable: 0,
        logStart: 0,
        aborted: [],
        records: null,
        ...one,
      }));
    },
  };
  const cluster = { closed: false, dedicated: async () => link } as unknown as Cluster;
  const catalog = {
    known: () => ({ leaders: [1, 1, 1] }),
    refresh: async () => void refreshes++,
  } as unknown as Catalog;
  reader = new LogReader(cluster, catalog, LIMITS);
  return { reader, fetches, refreshes: () => refreshes };
}

function track(partition: number, options: Partial<Track> = {}): Track {
  return {
    topic: 't',
    partition,
    offset: 0,
    wanted: true,
    take() {},
    outOfRange() {},
    gone() {},
    ...options,
  };
}

it('asks for the leaders again before it fetches again from one that does not lead any more', async () => {
  const { reader, fetches, refreshes } = readerOf((partitions) =>
    partitions.map((partition) => ({ partition, error: Code.notLeader })),
  );
  reader.add(track(0));
  await expect.poll(refreshes, { timeout: 5_000 }).toBe(3);
  expect(fetches.length).toBeLessThanOrEqual(4);
});

it('asks first for partitions that it has not had for longest', async () => {
  const batch = await encodeBatch(
    [{ key: null, value: Buffer.from('x'), headers: writeHeaders([]), timestamp: 1 }],
    { id: 1n, epoch: 0 },
    0,
    0,
  );
  const taken = new Set<number>();
  // Only the first that is asked for fits into an answer.
  const { reader } = readerOf(([first]) => [{ partition: first!, records: Buffer.from(batch) }]);
  for (let partition = 0; partition < 3; partition++) {
    const one: Track = track(partition, { take: () => void taken.add(partition) });
    reader.add(one);
  }
  await expect.poll(() => taken.size, { timeout: 5_000 }).toBe(3);
});

it('ends only the partition that it has no codec for', async () => {
  const batch = Buffer.from(
    await encodeBatch(
      [{ key: null, value: Buffer.from('x'), headers: writeHeaders([]), timestamp: 1 }],
      { id: 1n, epoch: 0 },
      0,
      0,
    ),
  );
  const foreign = Buffer.from(batch);
  foreign.writeInt16BE(3, 21);
  const gone: unknown[] = [];
  let taken = 0;
  const { reader } = readerOf((partitions) =>
    partitions.map((partition) => ({ partition, records: partition === 0 ? foreign : batch })),
  );
  const first = track(0, {
    gone(error) {
      gone.push(error);
      reader.remove(first);
    },
  });
  reader.add(first);
  reader.add(track(1, { take: () => void taken++, gone: (error) => void gone.push(error) }));
  await expect.poll(() => taken, { timeout: 5_000 }).toBeGreaterThan(3);
  expect(gone).toHaveLength(1);
  expect(UnsupportedError.is(gone[0])).toBe(true);
});
