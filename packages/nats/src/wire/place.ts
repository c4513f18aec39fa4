/** What the reply subject of a delivery tells. */
export interface Place {
  /** The record's number in the stream. */
  readonly seq: number;
  /** Number of this delivery among the consumer's. */
  readonly delivery: number;
  /** How often the record was delivered to the consumer. */
  readonly delivered: number;
  /** When it was stored; milliseconds since the epoch. */
  readonly time: number;
  /** Records that wait behind it. */
  readonly pending: number;
}

/** Parts of the older form, `$JS.ACK.<stream>.<consumer>.<delivered>.<seq>.<delivery>.<time>.<pending>`. */
const OLD_LENGTH = 9;
const FIRST = 4;
/** The newer form has the domain and a hash of the account after `$JS.ACK`. */
const MORE = 2;

const ZERO = 0x30;
/** Digits of a time in nanoseconds that are less than a millisecond. */
const NANO_DIGITS = 6;

/** Length of what comes before the numbers; the same for all deliveries of a consumer. */
function startOf(reply: string): number {
  const parts = reply.split('.');
  const first = parts.length > OLD_LENGTH ? FIRST + MORE : FIRST;
  return parts.slice(0, first).reduce((length, part) => length + part.length + 1, 0);
}

let lastStart = 0;
let lastPrefix = '-';

export function placeOf(reply: string): Place {
  if (!reply.startsWith(lastPrefix)) {
    lastStart = startOf(reply);
    lastPrefix = reply.slice(0, lastStart);
  }
  // By hand: `split` and `Number` would cost more than all else on a message's way through here.
  const seqAt = reply.indexOf('.', lastStart) + 1;
  const deliveryAt = reply.indexOf('.', seqAt) + 1;
  const timeAt = reply.indexOf('.', deliveryAt) + 1;
  const pendingAt = reply.indexOf('.', timeAt) + 1;
  return {
    delivered: numberAt(reply, lastStart, seqAt),
    seq: numberAt(reply, seqAt, deliveryAt),
    delivery: numberAt(reply, deliveryAt, timeAt),
    time: numberAt(reply, timeAt, pendingAt - NANO_DIGITS),
    pending: numberAt(reply, pendingAt, reply.length + 1),
  };
}

/**
 * Where records of a consumer are settled of which no delivery was seen.
 *
 * @param reply - of another record; empty where there is none
 * @param delivery - number of a delivery that the consumer has made
 */
export function unseenReplies(
  stream: string,
  consumer: string,
  reply: string,
  delivery: number,
): (seq: number) => string {
  const start = reply === '' ? `$JS.ACK.${stream}.${consumer}.` : reply.slice(0, startOf(reply));
  return (seq) => `${start}1.${seq}.${delivery}.0.0`;
}

/** The number from there, up to a dot, or to before the character before `end`. */
function numberAt(text: string, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end - 1; at++) {
    const digit = text.charCodeAt(at) - ZERO;
    if (digit < 0) break;
    value = value * 10 + digit;
  }
  return value;
}
