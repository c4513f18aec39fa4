import { SerializationError } from '../errors.ts';

/** Sizes, first byte included, of the formats whose first byte says all. */
const SIZES: Uint8Array = new Uint8Array(256);
for (const [first, size] of [
  ...[0xc0, 0xc2, 0xc3].map((byte) => [byte, 1] as const),
  ...[0xcc, 0xd0].map((byte) => [byte, 2] as const),
  ...[0xcd, 0xd1].map((byte) => [byte, 3] as const),
  ...[0xca, 0xce, 0xd2].map((byte) => [byte, 5] as const),
  ...[0xcb, 0xcf, 0xd3].map((byte) => [byte, 9] as const),
]) {
  SIZES[first] = size;
}

/**
 * Extensions by which msgpackr changes the meaning of the bytes that follow: strings in bundles, errors, references,
 * records, sets, regular expressions.
 */
const OPAQUE: ReadonlySet<number | undefined> = new Set([0x62, 0x65, 0x69, 0x72, 0x73, 0x78]);

/**
 * Walks over a MessagePack body without decoding it, which is cheap, to find out what must be known to decode it.
 * Recursive: a body nested too deeply ends in a RangeError, as decoding it would.
 */
export class Inspector {
  /** It has binary. */
  binary = false;
  /** It has a map with a key that a plain object would lose: anything but a string, and `__proto__`. */
  keys = false;
  /** Only msgpackr can tell from here on. */
  opaque = false;
  readonly #bytes: Uint8Array;

  /** @throws {SerializationError} when `bytes` are not exactly one value */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    const end = this.#value(0);
    if (this.opaque) {
      this.binary = true;
      this.keys = true;
      return;
    }
    if (end > bytes.length) throw cutOff(bytes.length);
    if (end < bytes.length) {
      throw new SerializationError(`the MessagePack value ends at byte ${end} of a body of ${bytes.length}`);
    }
  }

  /** Returns where the value that starts at `at` ends. */
  #value(at: number): number {
    const first = this.#bytes[at];
    if (first === undefined) throw cutOff(this.#bytes.length);
    if (first < 0x80 || first >= 0xe0) return at + 1;
    if (first < 0x90) return this.#map(at + 1, first & 0x0f);
    if (first < 0xa0) return this.#array(at + 1, first & 0x0f);
    if (first < 0xc0) return at + 1 + (first & 0x1f);
    const size = SIZES[first]!;
    return size > 0 ? at + size : this.#sized(first, at + 1);
  }

  #sized(first: number, at: number): number {
    switch (first) {
      case 0xc4:
      case 0xc5:
      case 0xc6: {
        this.binary = true;
        const width = 1 << (first - 0xc4);
        return at + width + this.#uint(at, width);
      }
      case 0xc7:
      case 0xc8:
      case 0xc9: {
        const width = 1 << (first - 0xc7);
        return this.#extension(at + width, this.#uint(at, width));
      }
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(at, 1 << (first - 0xd4));
      case 0xd9:
      case 0xda:
      case 0xdb: {
        const width = 1 << (first - 0xd9);
        return at + width + this.#uint(at, width);
      }
      case 0xdc:
        return this.#array(at + 2, this.#uint(at, 2));
      case 0xdd:
        return this.#array(at + 4, this.#uint(at, 4));
      case 0xde:
        return this.#map(at + 2, this.#uint(at, 2));
      case 0xdf:
        return this.#map(at + 4, this.#uint(at, 4));
      default:
        throw new SerializationError(`byte 0x${first.toString(16)} at ${at - 1} is not MessagePack`);
    }
  }

  #extension(at: number, size: number): number {
    if (OPAQUE.has(this.#bytes[at])) this.opaque = true;
    return at + 1 + size;
  }

  #array(start: number, length: number): number {
    let at = start;
    for (let i = 0; i < length && !this.opaque; i++) at = this.#value(at);
    return at;
  }

  #map(start: number, length: number): number {
    let at = start;
    for (let i = 0; i < length && !this.opaque; i++) {
      if (!this.#isSafeKey(at)) this.keys = true;
      at = this.#value(this.#value(at));
    }
    return at;
  }

  /** A few names besides `__proto__` fail this: that costs time and nothing else. */
  #isSafeKey(at: number): boolean {
    const bytes = this.#bytes;
    const first = bytes[at]!;
    if (first >= 0xa0 && first < 0xc0)
      return first !== 0xa9 || bytes[at + 1] !== 0x5f || bytes[at + 2] !== 0x5f;
    return (first === 0xd9 && bytes[at + 1] !== 9) || first === 0xda || first === 0xdb;
  }

  #uint(at: number, width: number): number {
    if (at + width > this.#bytes.length) throw cutOff(this.#bytes.length);
    let value = 0;
    for (let i = at; i < at + width; i++) value = value * 256 + this.#bytes[i]!;
    return value;
  }
}

function cutOff(length: number): SerializationError {
  return new SerializationError(`the MessagePack body is cut off after ${length} bytes`);
}
