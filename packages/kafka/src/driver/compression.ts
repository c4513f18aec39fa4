import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { UnsupportedError } from '@ambus/core';

/** Kafka's numbers: none, gzip, snappy, lz4, zstd. */
export type Compression = 0 | 1 | 2 | 3 | 4;

export const COMPRESSIONS: Readonly<Record<'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd', Compression>> =
  Object.freeze({
    none: 0,
    gzip: 1,
    snappy: 2,
    lz4: 3,
    zstd: 4,
  });

/** A codec that Node itself does not bring. */
export interface Codec {
  compress(data: Buffer): Buffer | Promise<Buffer>;
  decompress(data: Buffer): Buffer | Promise<Buffer>;
}

const codecs = new Map<Compression, Codec>([
  [1, { compress: promisify(zlib.gzip), decompress: promisify(zlib.gunzip) }],
]);
if (typeof zlib.zstdCompress === 'function') {
  codecs.set(4, { compress: promisify(zlib.zstdCompress), decompress: promisify(zlib.zstdDecompress) });
}

/** Makes a codec known, for the whole process: producers elsewhere may use it, so every reader needs it. */
export function useCodec(name: 'snappy' | 'lz4' | 'zstd', codec: Codec): void {
  codecs.set(COMPRESSIONS[name], codec);
}

export function hasCodec(compression: Compression): boolean {
  return compression === 0 || codecs.has(compression);
}

export async function compress(compression: Compression, data: Buffer): Promise<Buffer> {
  return codecOf(compression).compress(data);
}

export async function decompress(compression: Compression, data: Buffer): Promise<Buffer> {
  return codecOf(compression).decompress(data);
}

function codecOf(compression: Compression): Codec {
  const codec = codecs.get(compression);
  if (codec !== undefined) return codec;
  const name = Object.entries(COMPRESSIONS).find(([, value]) => value === compression)?.[0];
  throw new UnsupportedError(
    `kafka: a batch is compressed with ${name}, for which this process has no codec: give one by kafka({ codecs })`,
    { broker: 'kafka' },
  );
}
