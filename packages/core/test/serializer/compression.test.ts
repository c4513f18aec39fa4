import { randomBytes } from 'node:crypto';
import zlib from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { SerializationError, UnsupportedError } from '../../src/errors.ts';
import {
  chooseCompression,
  compress,
  compressProblem,
  decompress,
} from '../../src/serializer/compression.ts';

const TEXT = Buffer.from('The quick brown fox jumps over the lazy dog. '.repeat(200));

const ENCODINGS = zlib.zstdCompress === undefined ? ['gzip', 'br'] : ['gzip', 'br', 'zstd'];

describe.each(ENCODINGS)('%s', (encoding) => {
  test.each([0, 1, 1024, 200_000])('gives back %i bytes exactly', async (size) => {
    const body = randomBytes(size);
    const small = await compress(encoding, body);
    expect(Buffer.compare(await decompress(encoding, small, Math.max(1, size)), body)).toBe(0);
  });

  test('makes text smaller, at every level', async () => {
    for (const level of [undefined, 1, 9]) {
      const small = await compress(encoding, TEXT, level);
      expect(small.length).toBeLessThan(TEXT.length / 10);
      expect(Buffer.compare(await decompress(encoding, small, TEXT.length), TEXT)).toBe(0);
    }
  });

  test('takes a level into account', async () => {
    const body = Buffer.from(Array.from({ length: 5000 }, (_, i) => `${i * 7919},`).join(''));
    const fast = await compress(encoding, body, 1);
    const small = await compress(encoding, body, 9);
    expect(small.length).toBeLessThan(fast.length);
  });

  test('stops at the limit of what may come out', async () => {
    const bomb = await compress(encoding, Buffer.alloc(50_000_000));
    expect(bomb.length).toBeLessThan(100_000);
    const failed = decompress(encoding, bomb, 1_000_000);
    await expect(failed).rejects.toThrow(/more than the allowed 1000000 bytes/);
    await expect(failed).rejects.toSatisfy((error) => SerializationError.is(error));
  });

  test('allows exactly the limit and not a byte more', async () => {
    const small = await compress(encoding, TEXT);
    expect((await decompress(encoding, small, TEXT.length)).length).toBe(TEXT.length);
    await expect(decompress(encoding, small, TEXT.length - 1)).rejects.toThrow(/more than the allowed/);
  });

  test('refuses what is damaged, cut off or not compressed', async () => {
    const small = await compress(encoding, TEXT);
    for (const body of [TEXT, small.subarray(0, small.length - 5), small.subarray(3)]) {
      const failed = decompress(encoding, body, 1_000_000);
      await expect(failed).rejects.toThrow(
        new RegExp(`the ${encoding} body of ${body.length} bytes cannot be`),
      );
      await expect(failed).rejects.toSatisfy((error) => SerializationError.is(error) && !error.retryable);
    }
  });
});

test('other implementations of the same encodings are understood', async () => {
  expect(await decompress('gzip', zlib.gzipSync(TEXT), 1e6)).toEqual(TEXT);
  expect(await decompress('br', zlib.brotliCompressSync(TEXT), 1e6)).toEqual(TEXT);
  expect(zlib.gunzipSync(await compress('gzip', TEXT))).toEqual(TEXT);
  expect(zlib.brotliDecompressSync(await compress('br', TEXT))).toEqual(TEXT);
});

test('encodings are case-insensitive, and gzip has its old name', async () => {
  const small = await compress('gzip', TEXT);
  for (const name of ['GZIP', ' gzip ', 'x-gzip']) expect(await decompress(name, small, 1e6)).toEqual(TEXT);
});

test('an unknown encoding is named', async () => {
  for (const failed of [compress('lz4', TEXT), decompress('lz4', TEXT, 100)]) {
    await expect(failed).rejects.toThrow('unknown content encoding "lz4"; gzip, br and zstd are known');
    await expect(failed).rejects.toSatisfy((error) => SerializationError.is(error));
  }
});

test('zstd on a Node without it says which versions have it', async () => {
  const { zstdCompress } = zlib;
  Object.assign(zlib, { zstdCompress: undefined });
  try {
    for (const failed of [compress('zstd', TEXT), decompress('zstd', TEXT, 100)]) {
      await expect(failed).rejects.toThrow(/zstd needs Node 22\.15 or 23\.8 or later, and this is \d+/);
      await expect(failed).rejects.toSatisfy((error) => UnsupportedError.is(error));
    }
    expect(await decompress('br', await compress('br', TEXT), 1e6)).toEqual(TEXT);
  } finally {
    Object.assign(zlib, { zstdCompress });
  }
});

describe('the publish option', () => {
  test.each([
    [undefined, 1e9, undefined],
    [false, 1e9, undefined],
    [true, 1023, undefined],
    [true, 1024, { encoding: 'gzip', level: undefined }],
    ['gzip', 5000, { encoding: 'gzip', level: undefined }],
    ['brotli', 5000, { encoding: 'br', level: undefined }],
    ['zstd', 5000, { encoding: 'zstd', level: undefined }],
    [{}, 5000, { encoding: 'gzip', level: undefined }],
    [{ threshold: 0 }, 0, { encoding: 'gzip', level: undefined }],
    [{ algorithm: 'brotli', threshold: 10, level: 11 }, 10, { encoding: 'br', level: 11 }],
    [{ algorithm: 'brotli', threshold: 10 }, 9, undefined],
  ] as const)('%j for a body of %i bytes', (option, size, expected) => {
    expect(chooseCompression(option, size)).toEqual(expected);
    if (option !== undefined) expect(compressProblem(option)).toBeUndefined();
  });

  test.each([
    ['br', 'true, false, "gzip", "brotli", "zstd" or { algorithm, threshold, level }'],
    ['toString', 'true, false'],
    [7, 'true, false'],
    [null, 'true, false'],
    [[], 'true, false'],
    [{ algorithm: 'lz4' }, 'with the algorithm "gzip", "brotli" or "zstd" (it is "lz4")'],
    [{ treshold: 5 }, 'there is no "treshold"'],
    [{ threshold: -1 }, 'at least 0 (it is -1)'],
    [{ threshold: 1.5 }, 'whole bytes'],
    [{ level: 10 }, 'a level from 0 to 9 for gzip (it is 10)'],
    [{ algorithm: 'brotli', level: 12 }, 'a level from 0 to 11 for brotli'],
    [{ algorithm: 'zstd', level: 0 }, 'a level from 1 to 22 for zstd'],
    [{ algorithm: 'zstd', level: '3' }, '(it is "3")'],
  ])('%j is refused with what is allowed', (option, allowed) => {
    expect(compressProblem(option)).toContain(allowed);
  });
});
