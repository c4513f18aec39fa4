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

/** A codec that Node itself does not bring: of Snappy the block format, of LZ4 the frame format. */
export interface Codec {
  compress(data: Buffer): Uint8Array | Promise<Uint8Array>;
  decompress(data: Buffer): Uint8Array | Promise<Uint8Array>;
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
  return asBuffer(await codecOf(compression).compress(data));
}

export async function decompress(compression: Compression, data: Buffer): Promise<Buffer> {
  const codec = codecOf(compression);
  const isFramed = compression === COMPRESSIONS.snappy && data.subarray(0, XERIAL.length).equals(XERIAL);
  if (!isFramed) return asBuffer(await codec.decompress(data));
  const parts: Uint8Array[] = [];
  for (let at = XERIAL_HEAD; at < data.length; ) {
    const start = at + 4;
    at = start + data.readInt32BE(at);
    parts.push(await codec.decompress(data.subarray(start, at)));
  }
  return Buffer.concat(parts);
}

/** How the Java client begins what it has packed with Snappy: blocks follow, each behind its length. */
const XERIAL = Buffer.from('\x82SNAPPY\0', 'latin1');
/** With two versions behind it. */
const XERIAL_HEAD = 16;

function asBuffer(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
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
