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
const DOT = 0x2e;
const NANOSECONDS = 1_000_000;

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
  let at = lastStart;
  const next = (): number => {
    let value = 0;
    for (let code = reply.charCodeAt(at); code >= ZERO; code = reply.charCodeAt(++at)) {
      value = value * 10 + (code - ZERO);
    }
    if (reply.charCodeAt(at) === DOT) at++;
    return value;
  };
  const delivered = next();
  const seq = next();
  const delivery = next();
  const time = Math.floor(next() / NANOSECONDS);
  return { delivered, seq, delivery, time, pending: next() };
}
