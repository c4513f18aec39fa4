const FIRST_SIZE = 512;
const HIGH = 2 ** 32;

/** Writes Kafka's primitive types. Has the fields by which the driver's framing takes it for one of its own encoders. */
export class Writer {
  buf: Buffer;
  offset = 0;

  constructor(size: number = FIRST_SIZE) {
    this.buf = Buffer.allocUnsafe(size);
  }

  get buffer(): Buffer {
    return this.buf.subarray(0, this.offset);
  }

  size(): number {
    return this.offset;
  }

  reserve(length: number): void {
    if (this.offset + length <= this.buf.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.buf.length * 2, this.offset + length));
    this.buf.copy(larger, 0, 0, this.offset);
    this.buf = larger;
  }

  i8(value: number): this {
    this.reserve(1);
    this.offset = this.buf.writeInt8(value, this.offset);
    return this;
  }

  i16(value: number): this {
    this.reserve(2);
    this.offset = this.buf.writeInt16BE(value, this.offset);
    return this;
  }

  i32(value: number): this {
    this.reserve(4);
    this.offset = this.buf.writeInt32BE(value, this.offset);
    return this;
  }

  u32(value: number): this {
    this.reserve(4);
    this.offset = this.buf.writeUInt32BE(value, this.offset);
    return this;
  }

  /** Offsets and times are safe integers; ids of producers may be larger. */
  i64(value: number | bigint): this {
    this.reserve(8);
    this.offset = this.buf.writeBigInt64BE(BigInt(value), this.offset);
    return this;
  }

  bool(value: boolean): this {
    return this.i8(value ? 1 : 0);
  }

  text(value: string | null): this {
    if (value === null) return this.i16(-1);
    const length = Buffer.byteLength(value);
    this.i16(length);
    this.reserve(length);
    this.offset += this.buf.write(value, this.offset, length, 'utf8');
    return this;
  }

  bytes(value: Uint8Array | null): this {
    if (value === null) return this.i32(-1);
    return this.i32(value.length).raw(value);
  }

  raw(value: Uint8Array): this {
    this.reserve(value.length);
    this.buf.set(value, this.offset);
    this.offset += value.length;
    return this;
  }

  list<T>(values: Iterable<T> & { readonly length: number }, write: (value: T) => unknown): this {
    this.i32(values.length);
    for (const value of values) write(value);
    return this;
  }

  /** A text as the newer versions of requests write it. */
  compactText(value: string | null): this {
    if (value === null) return this.uvarint(0);
    const bytes = Buffer.from(value);
    return this.uvarint(bytes.length + 1).raw(bytes);
  }

  compactList<T>(values: Iterable<T> & { readonly length: number }, write: (value: T) => unknown): this {
    this.uvarint(values.length + 1);
    for (const value of values) write(value);
    return this;
  }

  /** The end of each structure of the newer versions, and of their header: no tagged fields. */
  noTags(): this {
    return this.i8(0);
  }

  /** As the newer versions of requests write lengths: unsigned, without zigzag. */
  uvarint(value: number): this {
    return this.varint(value % 2 === 0 ? value / 2 : -(value + 1) / 2);
  }

  /** Zigzag, up to 53 bits. */
  varint(value: number): this {
    this.reserve(10);
    let rest = value >= 0 ? value * 2 : -value * 2 - 1;
    while (rest > 0x7f) {
      this.buf[this.offset++] = (rest & 0x7f) | 0x80;
      rest = rest < HIGH ? rest >>> 7 : Math.floor(rest / 128);
    }
    this.buf[this.offset++] = rest;
    return this;
  }
}

/** Reads what `Writer` writes. */
export class Reader {
  readonly buf: Buffer;
  offset: number;

  constructor(buf: Buffer, offset = 0) {
    this.buf = buf;
    this.offset = offset;
  }

  get left(): number {
    return this.buf.length - this.offset;
  }

  skip(bytes: number): this {
    this.offset += bytes;
    return this;
  }

  i8(): number {
    return this.buf.readInt8(this.offset++);
  }

  i16(): number {
    const value = this.buf.readInt16BE(this.offset);
    this.offset += 2;
    return value;
  }

  i32(): number {
    const value = this.buf.readInt32BE(this.offset);
    this.offset += 4;
    return value;
  }

  i64(): number {
    const value = this.buf.readInt32BE(this.offset) * HIGH + this.buf.readUInt32BE(this.offset + 4);
    this.offset += 8;
    return value;
  }

  bigint(): bigint {
    const value = this.buf.readBigInt64BE(this.offset);
    this.offset += 8;
    return value;
  }

  bool(): boolean {
    return this.i8() !== 0;
  }

  text(): string | null {
    const length = this.i16();
    if (length < 0) return null;
    const value = this.buf.toString('utf8', this.offset, this.offset + length);
    this.offset += length;
    return value;
  }

  bytes(): Buffer | null {
    const length = this.i32();
    return length < 0 ? null : this.raw(length);
  }

  raw(length: number): Buffer {
    const value = this.buf.subarray(this.offset, this.offset + length);
    this.offset += length;
    return value;
  }

  list<T>(read: () => T): T[] {
    const length = this.i32();
    const values: T[] = [];
    for (let index = 0; index < length; index++) values.push(read());
    return values;
  }

  /** A text of the newer versions of requests. */
  compactText(): string | null {
    const length = this.uvarint() - 1;
    return length < 0 ? null : this.raw(length).toString('utf8');
  }

  compactList<T>(read: () => T): T[] {
    const length = this.uvarint() - 1;
    return Array.from({ length: Math.max(0, length) }, read);
  }

  /** Tagged fields, of which we know none. */
  tags(): void {
    for (let count = this.uvarint(); count > 0; count--) {
      this.uvarint();
      this.skip(this.uvarint());
    }
  }

  varint(): number {
    const value = this.uvarint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  uvarint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.buf[this.offset++];
      if (byte === undefined) throw new RangeError('a number goes on behind the end of its bytes');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      scale *= 128;
    }
    return value;
  }
}
