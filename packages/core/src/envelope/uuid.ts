import { randomFillSync } from 'node:crypto';

/** Random bytes are drawn for many ids at once: a call to the generator costs more than the rest of an id. */
const POOL = 4096;
const pool = new Uint8Array(POOL);
let at = POOL;

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

let lastTime = -1;
let sequence = 0;
let timePart = '';

/**
 * A UUID of version 7 (RFC 9562): sortable by time to the millisecond, and within one process in the order of the calls
 * (a 12-bit counter in `rand_a`, which borrows from the future when a millisecond has more than 4,096).
 *
 * @param time - milliseconds since the epoch
 */
export function uuidv7(time: number = Date.now()): string {
  if (time > lastTime) {
    lastTime = time;
    sequence = 0;
    timePart = formatTime(time);
  } else if (++sequence > 0xfff) {
    lastTime++;
    sequence = 0;
    timePart = formatTime(lastTime);
  }
  if (at > POOL - 8) {
    randomFillSync(pool);
    at = 0;
  }
  const a = pool[at]!;
  const id =
    `${timePart}-7${HEX[sequence >> 8]![1]}${HEX[sequence & 0xff]}-${HEX[(a & 0x3f) | 0x80]}${HEX[pool[at + 1]!]}` +
    `-${HEX[pool[at + 2]!]}${HEX[pool[at + 3]!]}${HEX[pool[at + 4]!]}${HEX[pool[at + 5]!]}${HEX[pool[at + 6]!]}${HEX[pool[at + 7]!]}`;
  at += 8;
  return id;
}

function formatTime(time: number): string {
  const hex = time.toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}

/** The time inside a version 7 id, or undefined for anything else. */
export function uuidTime(id: string): number | undefined {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-7/i.test(id)
    ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
    : undefined;
}
