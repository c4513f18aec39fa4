import { Ranges } from './ranges.ts';

/** What Kafka takes as metadata of a commit, with some room. */
export const MAX_METADATA = 3_900;

const FORM = 'a1';

/**
 * What a group knows of one partition: what is settled, how often the rest was handed out, what waits until when. It
 * travels with the committed offset, so that another member goes on exactly there.
 *
 * An offset below `handed` was handed out once, unless `idle` has it (not yet, or given back) or `counts` says otherwise.
 */
export class Ledger {
  /** Everything below is settled: what Kafka calls the committed offset. */
  floor: number;
  /** Behind the last that was ever handed out. */
  handed: number;
  readonly settled: Ranges = new Ranges();
  readonly idle: Ranges = new Ranges();
  readonly counts: Map<number, number> = new Map();
  /** When what was nacked is due. */
  readonly due: Map<number, number> = new Map();
  /** Which members still have what was handed out before the partition changed hands. */
  readonly loans: Map<number, string> = new Map();

  constructor(floor: number) {
    this.floor = floor;
    this.handed = floor;
  }

  done(offset: number): boolean {
    return offset < this.floor || this.settled.has(offset);
  }

  /** How often it was handed out and not given back. */
  count(offset: number): number {
    return this.counts.get(offset) ?? (offset < this.handed && !this.idle.has(offset) ? 1 : 0);
  }

  /** Hands it out; returns the number of this attempt. */
  hand(offset: number): number {
    const attempt = this.count(offset) + 1;
    if (offset >= this.handed) {
      this.idle.add(this.handed, offset);
      this.handed = offset + 1;
    } else {
      this.idle.remove(offset);
    }
    if (attempt > 1) this.counts.set(offset, attempt);
    else this.counts.delete(offset);
    this.due.delete(offset);
    return attempt;
  }

  /** Takes a handing out back: it does not count. */
  release(offset: number): void {
    const count = this.count(offset) - 1;
    this.idle.add(offset);
    if (count > 0) this.counts.set(offset, count);
    else this.counts.delete(offset);
  }

  wait(offset: number, due: number): void {
    this.due.set(offset, due);
  }

  settle(offset: number, end: number = offset + 1): void {
    if (end <= this.floor) return;
    if (end === offset + 1) {
      this.counts.delete(offset);
      this.due.delete(offset);
      this.loans.delete(offset);
    }
    if (offset <= this.floor) this.#raise(end);
    else this.settled.add(offset, end);
  }

  /** The log begins here now: what was before is gone. */
  raise(floor: number): void {
    if (floor > this.floor) this.#raise(floor);
  }

  #raise(to: number): void {
    this.floor = Math.max(to, this.settled.endFrom(to));
    this.settled.dropBelow(this.floor);
    this.idle.dropBelow(this.floor);
    if (this.handed < this.floor) this.handed = this.floor;
    for (const map of [this.counts, this.due, this.loans]) {
      if (map.size > 0) for (const offset of map.keys()) if (offset < this.floor) map.delete(offset);
    }
  }

  /** How many are handed out and neither settled nor waiting. */
  get inFlight(): number {
    let settled = 0;
    for (const [start, end] of this.settled) settled += Math.max(0, Math.min(end, this.handed) - start);
    let waiting = 0;
    for (const offset of this.due.keys()) if (!this.idle.has(offset)) waiting++;
    let idle = 0;
    for (const [start, end] of this.idle) {
      for (let offset = start; offset < end; offset++) if (!this.settled.has(offset)) idle++;
    }
    return Math.max(0, this.handed - this.floor - settled - waiting - idle);
  }

  /** What travels with the commit. `undefined` while it is too long: then nothing more may be handed out. */
  encode(): string | undefined {
    if (this.handed === this.floor && this.settled.empty) return '';
    const text = this.#write(Number.POSITIVE_INFINITY);
    if (text.length <= MAX_METADATA) return text;
    // Behind what was handed out lies what is for nobody, such as the marks of transactions: whoever reads it knows.
    const short = this.#write(this.handed);
    return short.length <= MAX_METADATA ? short : undefined;
  }

  /** @param end - settled offsets from there on are left out */
  #write(end: number): string {
    return [
      FORM,
      num(this.handed - this.floor),
      this.#ranges(this.settled, end),
      this.#ranges(this.idle),
      this.#numbers(this.counts, (count) => num(count)),
      this.#numbers(this.due, (due) => num(due)),
      this.#holders(),
    ].join(';');
  }

  /** What must be kept at any price, where all of it is too long. */
  encodeShort(): string {
    const settled = this.#ranges(this.settled, this.handed);
    const text = [FORM, num(this.handed - this.floor), settled, '', '', ''].join(';');
    return text.length <= MAX_METADATA ? text : '';
  }

  static decode(floor: number, metadata: string): Ledger {
    const ledger = new Ledger(floor);
    const [form, handed = '', settled = '', idle = '', counts = '', due = '', loans = ''] =
      metadata.split(';');
    if (form !== FORM) return ledger;
    ledger.handed = floor + parse(handed);
    for (const [start, end] of readRanges(floor, settled)) ledger.settled.add(start, end);
    for (const [start, end] of readRanges(floor, idle)) ledger.idle.add(start, end);
    for (const [offset, count] of readNumbers(floor, counts)) ledger.counts.set(offset, count);
    for (const [offset, time] of readNumbers(floor, due)) ledger.due.set(offset, time);
    for (const loan of loans === '' ? [] : loans.split('|')) {
      const [holder = '', offsets = ''] = loan.split('@');
      for (const offset of offsets.split(','))
        ledger.loans.set(floor + parse(offset), decodeURIComponent(holder));
    }
    return ledger;
  }

  /** Each by its distance from the one before, and its length where that is not 1. */
  #ranges(ranges: Ranges, limit: number = Number.POSITIVE_INFINITY): string {
    let before = this.floor;
    const parts: string[] = [];
    for (const [start, till] of ranges) {
      if (start >= limit) break;
      const end = Math.min(till, limit);
      parts.push(end - start === 1 ? num(start - before) : `${num(start - before)}.${num(end - start)}`);
      before = end;
    }
    return parts.join(',');
  }

  #holders(): string {
    const holders = new Map<string, string[]>();
    for (const [offset, holder] of this.loans) {
      const name = encodeURIComponent(holder);
      holders.set(name, [...(holders.get(name) ?? []), num(offset - this.floor)]);
    }
    return Array.from(holders, ([name, offsets]) => `${name}@${offsets.join(',')}`).join('|');
  }

  #numbers(map: ReadonlyMap<number, number>, write: (value: number) => string): string {
    return Array.from(map, ([offset, value]) => `${num(offset - this.floor)}.${write(value)}`).join(',');
  }
}

function num(value: number): string {
  return value.toString(36);
}

function parse(text: string): number {
  return Number.parseInt(text, 36) || 0;
}

function* readRanges(floor: number, text: string): Generator<readonly [number, number]> {
  if (text === '') return;
  let before = floor;
  for (const part of text.split(',')) {
    const [distance = '', length = '1'] = part.split('.');
    const start = before + parse(distance);
    before = start + parse(length);
    yield [start, before];
  }
}

function* readNumbers(floor: number, text: string): Generator<readonly [number, number]> {
  if (text === '') return;
  for (const part of text.split(',')) {
    const [distance = '', value = ''] = part.split('.');
    yield [floor + parse(distance), parse(value)];
  }
}
