import { UnsupportedError } from '@ambus/core';
import { expect, it } from 'vitest';
import type { Compression } from '../../src/driver/compression.ts';
import { encodeBatch, writeHeaders } from '../../src/driver/records.ts';
import { decodeMost } from '../../src/read/decode.ts';

const PRODUCER = { id: 1n, epoch: 0 };

/** A batch of records from `base` on, as a server keeps it. */
async function batch(base: number, count: number, compression: Compression = 0): Promise<Buffer> {
  const records = Array.from({ length: count }, (_, index) => ({
    key: null,
    value: Buffer.from(`${base + index}`.repeat(20)),
    headers: writeHeaders([]),
    timestamp: 1_000,
  }));
  const bytes = Buffer.from(await encodeBatch(records, PRODUCER, 0, compression));
  bytes.writeBigInt64BE(BigInt(base), 0);
  return bytes;
}

/** Its body is no gzip any more. */
async function broken(base: number, count: number): Promise<Buffer> {
  const bytes = await batch(base, count, 1);
  bytes.fill(0xff, 61);
  return bytes;
}

/** Compressed by a codec that nobody has given. */
async function foreign(base: number, count: number): Promise<Buffer> {
  const bytes = await batch(base, count);
  bytes.writeInt16BE(3, 21);
  return bytes;
}

async function offsetsOf(data: Buffer, offset: number) {
  const { records, next, skipped } = await decodeMost(data, offset, []);
  return { offsets: records.map((record) => record.offset), next, skipped: skipped?.offset };
}

it('reads what is before a broken batch, leaves that out, and goes on behind it', async () => {
  const data = Buffer.concat([
    await batch(0, 2),
    await batch(2, 2, 1),
    await broken(4, 3),
    await batch(7, 1),
  ]);
  expect(await offsetsOf(data, 1)).toEqual({ offsets: [1, 2, 3], next: 4, skipped: undefined });
  const rest = data.subarray((await batch(0, 2)).length + (await batch(2, 2, 1)).length);
  expect(await offsetsOf(rest, 4)).toEqual({ offsets: [], next: 7, skipped: 4 });
  expect(await offsetsOf(await batch(7, 1), 7)).toEqual({ offsets: [7], next: 8, skipped: undefined });
});

it('leaves a broken batch out behind one that was read before', async () => {
  const data = Buffer.concat([await batch(0, 2), await broken(2, 2)]);
  expect(await offsetsOf(data, 2)).toEqual({ offsets: [], next: 4, skipped: 2 });
});

it('does not leave out what only lacks a codec, and names the option', async () => {
  const data = Buffer.concat([await batch(0, 1), await foreign(1, 1)]);
  expect(await offsetsOf(data, 0)).toEqual({ offsets: [0], next: 1, skipped: undefined });
  const failure = await decodeMost(await foreign(1, 1), 1, []).catch((error: unknown) => error);
  expect(UnsupportedError.is(failure)).toBe(true);
  expect(String(failure)).toContain('kafka({ codecs })');
});
