import { SerializationError } from '@ambus/core';

/**
 * Which message of its file follows: its place among the file's messages, then its place in the message around it, and so
 * on. Their count and each of them is a zigzag varint; the first message of a file, the usual one, is a single zero.
 */
export function writeIndexes(indexes: readonly number[]): Uint8Array {
  if (indexes.length === 1 && indexes[0] === 0) return Uint8Array.of(0);
  const bytes: number[] = [];
  for (const value of [indexes.length, ...indexes]) {
    let rest = value * 2;
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
    bytes.push(rest);
  }
  return Uint8Array.from(bytes);
}

/** No `.proto` file has messages nested as deeply; a damaged count must not be believed. */
const DEEPEST = 100;

/** @throws {SerializationError} when the bytes do not begin with indexes */
export function readIndexes(body: Uint8Array): {
  readonly indexes: readonly number[];
  readonly length: number;
} {
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let digit = 0, unit = 1; digit < 5 && at < body.length; digit++, unit *= 128) {
      const byte = body[at++]!;
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
    throw new SerializationError('the body does not begin with the indexes of a protobuf message');
  };
  const count = next();
  if (count === 0) return { indexes: [0], length: at };
  if (count < 0 || count > DEEPEST) {
    throw new SerializationError(`the body begins with ${count} indexes of a protobuf message`);
  }
  const indexes = Array.from({ length: count }, next);
  return { indexes, length: at };
}
