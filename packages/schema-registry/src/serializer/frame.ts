import { SerializationError } from '@ambus/core';

/** Confluent's wire format: a zero, the schema's id as four bytes, the highest first, then the body. */
const HEADER = 5;

export function frame(id: number, body: Uint8Array): Uint8Array {
  const framed = Buffer.allocUnsafe(HEADER + body.length);
  framed[0] = 0;
  framed.writeUInt32BE(id, 1);
  framed.set(body, HEADER);
  return framed;
}

/** @throws {SerializationError} when the bytes do not begin as they must */
export function readId(framed: Uint8Array): number {
  if (framed.length < HEADER || framed[0] !== 0) {
    const start = Buffer.from(framed.subarray(0, HEADER)).toString('hex');
    throw new SerializationError(
      `the body of ${framed.length} bytes does not begin with a zero and a schema's id, but with ${start || 'nothing'}`,
    );
  }
  const id = Buffer.from(framed.buffer, framed.byteOffset, HEADER).readInt32BE(1);
  // Registries count in 32 bits with a sign; some answer a question for another number with what is no answer.
  if (id < 0) throw new SerializationError(`the body begins with ${id} for a schema's id`);
  return id;
}

/** What follows; a view. */
export const unframe = (framed: Uint8Array): Uint8Array => framed.subarray(HEADER);
