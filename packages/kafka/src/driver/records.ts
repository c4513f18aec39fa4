import { Reader, Writer } from './bytes.ts';
import { type Compression, compress, decompress } from './compression.ts';
import { crc32c } from './crc32c.ts';

/** One record of a batch that is to be produced. Headers are pairs of bytes, already encoded. */
export interface OutRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  /** Count and pairs, as `writeHeaders` makes them. */
  readonly headers: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
}

/** One record that was fetched. */
export interface InRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Buffer;
}

export interface Producer {
  readonly id: bigint;
  readonly epoch: number;
}

const MAGIC = 2;
/** Bytes before the CRC's range: base offset, length, leader epoch, magic, CRC. */
const CRC_AT = 17;
const BODY_AT = 21;
/** Bytes of a batch before its records. */
const OVERHEAD = 61;
const CODEC_MASK = 0x07;
const APPEND_TIME = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

/** Most bytes that the framing of one record takes beside its key, value and headers. */
export const RECORD_OVERHEAD = 32;

function varintSize(value: number): number {
  let rest = value >= 0 ? value * 2 : -value * 2 - 1;
  let size = 1;
  while (rest > 0x7f) {
    rest = Math.floor(rest / 128);
    size++;
  }
  return size;
}

function bytesSize(value: Uint8Array | null): number {
  return value === null ? 1 : varintSize(value.length) + value.length;
}

export async function encodeBatch(
  records: readonly OutRecord[],
  producer: Producer,
  sequence: number,
  compression: Compression,
  transactional = false,
): Promise<Uint8Array> {
  const first = records[0]!.timestamp;
  let latest = first;
  let size = OVERHEAD;
  for (const record of records) {
    if (record.timestamp > latest) latest = record.timestamp;
    size += RECORD_OVERHEAD + record.headers.length + (record.key?.length ?? 0) + (record.value?.length ?? 0);
  }
  const to = new Writer(size);
  to.i64(0)
    .i32(0)
    .i32(-1)
    .i8(MAGIC)
    .u32(0)
    .i16(transactional ? compression | TRANSACTIONAL : compression)
    .i32(records.length - 1);
  to.i64(first).i64(latest).i64(producer.id).i16(producer.epoch).i32(sequence).i32(records.length);
  const start = to.offset;
  for (let index = 0; index < records.length; index++) writeRecord(to, records[index]!, index, first);
  if (compression !== 0) {
    const packed = await compress(compression, to.buf.subarray(start, to.offset));
    to.offset = start;
    to.raw(packed);
  }
  const batch = to.buffer;
  batch.writeInt32BE(batch.length - 12, 8);
  batch.writeUInt32BE(crc32c(batch, BODY_AT), CRC_AT);
  return batch;
}

function writeRecord(
  to: Writer,
  { key, value, headers, timestamp }: OutRecord,
  index: number,
  first: number,
): void {
  const delta = timestamp - first;
  to.varint(1 + varintSize(delta) + varintSize(index) + bytesSize(key) + bytesSize(value) + headers.length);
  to.i8(0).varint(delta).varint(index);
  writeBytes(to, key);
  writeBytes(to, value);
  to.raw(headers);
}

function writeBytes(to: Writer, value: Uint8Array | null): void {
  if (value === null) to.varint(-1);
  else to.varint(value.length).raw(value);
}

/** Headers as they stand in a record. */
export function writeHeaders(
  pairs: readonly (readonly [name: string, value: string | Uint8Array | null])[],
): Buffer {
  const to = new Writer(64 + pairs.length * 48);
  to.varint(pairs.length);
  for (const [name, value] of pairs) {
    writeText(to, name);
    if (value === null) to.varint(-1);
    else if (typeof value === 'string') writeText(to, value);
    else to.varint(value.length).raw(value);
  }
  return to.buffer;
}

function writeText(to: Writer, text: string): void {
  const length = Buffer.byteLength(text);
  to.varint(length);
  to.reserve(length);
  to.offset += to.buf.write(text, to.offset, length, 'utf8');
}

/** The pairs of a record's headers; nothing is copied. */
export function readHeaders(headers: Buffer): [name: string, value: Buffer | null][] {
  const from = new Reader(headers);
  const count = from.varint();
  const pairs: [string, Buffer | null][] = [];
  for (let index = 0; index < count; index++) {
    const name = from.raw(from.varint()).toString('utf8');
    const length = from.varint();
    pairs.push([name, length < 0 ? null : from.raw(length)]);
  }
  return pairs;
}

export interface Decoded {
  readonly records: InRecord[];
  /** Where to fetch next: behind what was looked at, also where nothing of it was for us. */
  readonly next: number;
}

/**
 * The records of a fetch from `offset` on. What belongs to aborted transactions, and the marks of transactions
 * themselves, are left out.
 */
export async function decodeBatches(
  data: Buffer | null,
  offset: number,
  aborted: readonly { readonly producerId: bigint; readonly first: number }[],
): Promise<Decoded> {
  const records: InRecord[] = [];
  let next = offset;
  if (data === null) return { records, next };
  const pending = [...aborted].sort((a, b) => a.first - b.first);
  const active = new Set<bigint>();
  let at = 0;
  while (data.length - at >= OVERHEAD) {
    const length = data.readInt32BE(at + 8) + 12;
    // The last batch may be cut off.
    if (data.length - at < length) break;
    const from: Reader = new Reader(data.subarray(at, at + length));
    at += length;
    const base = from.i64();
    from.offset = BODY_AT;
    const attributes = from.i16();
    const last = base + from.i32();
    const first = from.i64();
    const latest = from.i64();
    const producerId = from.bigint();
    from.offset += 6;
    const count = from.i32();
    if (last >= next) next = last + 1;
    while (pending.length > 0 && pending[0]!.first <= last) active.add(pending.shift()!.producerId);
    if ((attributes & CONTROL) !== 0) {
      active.delete(producerId);
      continue;
    }
    if ((attributes & TRANSACTIONAL) !== 0 && active.has(producerId)) continue;
    const codec = (attributes & CODEC_MASK) as Compression;
    const body: Reader = codec === 0 ? from : new Reader(await decompress(codec, from.raw(from.left)));
    for (let index = 0; index < count; index++) {
      const end = body.varint() + body.offset;
      body.offset++;
      const delta = body.varint();
      const timestamp = (attributes & APPEND_TIME) === 0 ? first + delta : latest;
      const place = base + body.varint();
      const key = readBytes(body);
      const value = readBytes(body);
      if (place >= offset) {
        records.push({ offset: place, timestamp, key, value, headers: body.buf.subarray(body.offset, end) });
      }
      body.offset = end;
    }
  }
  return { records, next };
}

function readBytes(from: Reader): Buffer | null {
  const length = from.varint();
  return length < 0 ? null : from.raw(length);
}
