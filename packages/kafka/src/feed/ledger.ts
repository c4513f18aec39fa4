import { num, parse, readRanges, writeRanges } from './range-text.ts';
import { Ranges } from './ranges.ts';

/** What Kafka takes as metadata of a commit, with some room. */
export const MAX_METADATA = 3_900;

const FORM = 'a2';
/** As it was written before there were bits in it. */
const FORM_BEFORE = 'a1';

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
    if (offset <= this.floor) {
      this.#raise(end);
      return;
    }
    this.settled.add(offset, end);
    for (const map of [this.counts, this.due, this.loans]) {
      if (end === offset + 1) map.delete(offset);
      else for (const one of map.keys()) if (one >= offset && one < end) map.delete(one);
    }
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

  /** Characters that it takes, but for what it says of attempts and retries. */
  get length(): number {
    const ranges = [this.#settledBelow(this.handed), writeRanges(this.floor, this.#idleParts())];
    return [FORM, num(this.handed - this.floor), ...ranges, '', '', this.#holders()].join(';').length;
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
      this.#settledBelow(end),
      writeRanges(this.floor, this.#idleParts()),
      this.#numbers(this.counts).join(','),
      this.#numbers(this.due).join(','),
      this.#holders(),
    ].join(';');
  }

  /**
   * What goes where all of it is too long. Above all what is done, since nobody expects that again; of the retries as many
   * as there is room for: the others come at once. `told`: what lies from there on is told as if it was not done.
   */
  encodeShort(): { readonly text: string; readonly told: number } {
    const fields = [FORM, num(this.handed - this.floor), '', '', '', '', ''];
    let left = MAX_METADATA - fields.join(';').length;
    const put = (field: number, text: string): boolean => {
      if (text.length > left) return false;
      fields[field] = text;
      left -= text.length;
      return true;
    };
    let told = this.handed;
    while (!put(2, this.#settledBelow(told))) told = this.floor + Math.floor((told - this.floor) / 2);
    put(6, this.#holders());
    put(3, writeRanges(this.floor, this.#idleParts()));
    put(4, fitting(this.#numbers(this.counts), left));
    put(5, fitting(this.#numbers(this.due), left));
    return { text: fields.join(';'), told: told === this.handed ? Number.POSITIVE_INFINITY : told };
  }

  static decode(floor: number, metadata: string): Ledger {
    const ledger = new Ledger(floor);
    const [form, handed = '', settled = '', idle = '', counts = '', due = '', loans = ''] =
      metadata.split(';');
    if (form !== FORM && form !== FORM_BEFORE) return ledger;
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

  #settledBelow(end: number): string {
    return writeRanges(this.floor, below(this.settled, end));
  }

  /** Nobody asks whether what is settled is idle, too: without gaps for it they are fewer. */
  *#idleParts(): Generator<readonly [start: number, end: number]> {
    let from: number | undefined;
    let till = 0;
    for (const [start, end] of this.idle) {
      if (from === undefined) from = start;
      else if (this.settled.endFrom(till) < start) {
        yield [from, till];
        from = start;
      }
      till = end;
    }
    if (from !== undefined) yield [from, till];
  }

  #holders(): string {
    const holders = new Map<string, string[]>();
    for (const [offset, holder] of this.loans) {
      const name = encodeURIComponent(holder);
      holders.set(name, [...(holders.get(name) ?? []), num(offset - this.floor)]);
    }
    return Array.from(holders, ([name, offsets]) => `${name}@${offsets.join(',')}`).join('|');
  }

  #numbers(map: ReadonlyMap<number, number>): string[] {
    return Array.from(map, ([offset, value]) => `${num(offset - this.floor)}.${num(value)}`);
  }
}

/** As many of these as there is room for. */
function fitting(texts: readonly string[], room: number): string {
  let end = 0;
  for (let length = -1; end < texts.length; end++) {
    length += texts[end]!.length + 1;
    if (length > room) break;
  }
  return texts.slice(0, end).join(',');
}

function* below(ranges: Ranges, limit: number): Generator<readonly [start: number, end: number]> {
  for (const [start, end] of ranges) {
    if (start >= limit) return;
    yield [start, Math.min(end, limit)];
  }
}

function* readNumbers(floor: number, text: string): Generator<readonly [number, number]> {
  if (text === '') return;
  for (const part of text.split(',')) {
    const [distance = '', value = ''] = part.split('.');
    yield [floor + parse(distance), parse(value)];
  }
}
