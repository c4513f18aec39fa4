import { UnsupportedError } from '@ambus/core';
import { type Decoded, decodeBatches } from '../driver/records.ts';

/** What was left out, since nobody can read it. */
export interface Skipped {
  readonly offset: number;
  readonly error: unknown;
}

type Aborted = Parameters<typeof decodeBatches>[2];

/** Bytes of a batch's head, and where in it stand its length and the last of its offsets. */
const HEAD = 61;
const LENGTH_AT = 8;
const LAST_AT = 23;

/**
 * As `decodeBatches`; but a broken batch does not keep those before and behind it from being read: what is before it comes
 * first, then it is left out.
 *
 * @throws {UnsupportedError} naming the codec that is missing, where it is only that
 */
export async function decodeMost(
  data: Buffer | null,
  offset: number,
  aborted: Aborted,
): Promise<Decoded & { readonly skipped?: Skipped }> {
  try {
    return await decodeBatches(data, offset, aborted);
  } catch (error) {
    // All up to the broken one, which costs a second pass over them, once.
    let good: Decoded | undefined;
    let broken: number | undefined;
    for (const { end, last } of batches(data!)) {
      try {
        const decoded = await decodeBatches(data!.subarray(0, end), offset, aborted);
        if (decoded.next > offset) good = decoded;
      } catch {
        broken = last;
        break;
      }
    }
    if (good !== undefined) return good;
    if (broken === undefined || UnsupportedError.is(error)) throw error;
    return { records: [], next: Math.max(offset, broken) + 1, skipped: { offset, error } };
  }
}

function* batches(data: Buffer): Generator<{ readonly end: number; readonly last: number }> {
  let at = 0;
  while (data.length - at >= HEAD) {
    const length = data.readInt32BE(at + LENGTH_AT) + 12;
    if (length < HEAD || data.length - at < length) return;
    const last = Number(data.readBigInt64BE(at)) + data.readInt32BE(at + LAST_AT);
    at += length;
    yield { end: at, last };
  }
}
