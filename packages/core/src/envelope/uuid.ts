import { randomFillSync } from 'node:crypto';

/** Drawn at once for many ids, always into the same memory: the generator and a new buffer both cost more than an id. */
const bytes = Buffer.alloc(4096);
/** Hexadecimal digits that an id takes: one for the variant, three and twelve as they are. */
const DIGITS = 16;

let pool = '';
let at = 0;

/** Milliseconds that the clock may go back without the ids losing their order; beyond that they follow it. */
const LARGEST_STEP_BACK = 10_000;

let lastTime = -1;
let sequence = 0;
let timePart = '';

/** The version and the counter in `rand_a`, ready made: few and long pieces make a cheap string. */
const SEQUENCES: readonly string[] = Array.from(
  { length: 0x1000 },
  (_, counter) => `-7${counter.toString(16).padStart(3, '0')}-`,
);
const VARIANTS = '89ab';
/** Character code of `a`. */
const LETTERS = 97;

/**
 * A UUID of version 7 (RFC 9562): sortable by time to the millisecond, and within one process in the order of the calls
 * (a 12-bit counter in `rand_a`, which borrows from the future when a millisecond has more than 4,096).
 *
 * @param time - milliseconds since the epoch
 */
export function uuidv7(time: number = Date.now()): string {
  if (time > lastTime || lastTime - time > LARGEST_STEP_BACK) {
    lastTime = time;
    sequence = 0;
    timePart = formatTime(time);
  } else if (++sequence > 0xfff) {
    lastTime++;
    sequence = 0;
    timePart = formatTime(lastTime);
  }
  if (at + DIGITS > pool.length) {
    pool = randomFillSync(bytes).toString('hex');
    at = 0;
  }
  const digit = pool.charCodeAt(at);
  const variant = VARIANTS[(digit < LETTERS ? digit : digit - LETTERS + 10) & 3];
  const id = `${timePart}${SEQUENCES[sequence]}${variant}${pool.slice(at + 1, at + 4)}-${pool.slice(at + 4, at + DIGITS)}`;
  at += DIGITS;
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
