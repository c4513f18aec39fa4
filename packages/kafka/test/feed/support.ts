import type { Delivery, Source } from '@ambus/core';
import { type InRecord, writeHeaders } from '../../src/driver/records.ts';
import type { Entry } from '../../src/feed/entry.ts';
import { Feed, type FeedReader } from '../../src/feed/feed.ts';
import { Ledger } from '../../src/feed/ledger.ts';
import { Part, type PartOptions } from '../../src/feed/part.ts';

/** Whole numbers below a limit, the same at each run. */
export function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

export function raw(offset: number, options: Partial<InRecord> & { headers?: Buffer } = {}): InRecord {
  return {
    offset,
    timestamp: 1_000 + offset,
    key: null,
    value: Buffer.from(`${offset}`),
    headers: writeHeaders([]),
    ...options,
  };
}

interface Stubbed {
  readonly feed: Feed;
  readonly part: (options?: Partial<PartOptions>) => Part;
  readonly got: Entry[];
  readonly lost: Delivery[];
  /** Offsets of what could not be read. */
  readonly warned: number[];
  /** Members of the group. */
  readonly present: Set<string>;
  /** Offsets from which something was read again. */
  readonly asked: number[];
  /** What the log of a part still has. */
  readonly log: Map<number, InRecord>;
}

/** A feed without a server: what it hands out and whom it asks stands in lists. */
export function feedOf(source: Partial<Source> = {}): Stubbed {
  const got: Entry[] = [];
  const lost: Delivery[] = [];
  const warned: number[] = [];
  const present = new Set<string>();
  const asked: number[] = [];
  const log = new Map<number, InRecord>();
  const reader: FeedReader = {
    add() {},
    remove() {},
    wake() {},
    onRead() {},
    onUnreadable() {},
    async once(_, offset) {
      asked.push(offset);
      const records = [...log.values()].filter((record) => record.offset >= offset).slice(0, 50);
      return { records, next: (records.at(-1)?.offset ?? offset) + 1 };
    },
  };
  const feed = new Feed(
    { pattern: 't', group: 'g', channel: 'durable', from: 'new', prefetch: 100, order: 'skip', ...source },
    {
      deliver: (deliveries) => void got.push(...(deliveries as readonly Entry[])),
      lost: (deliveries) => void lost.push(...deliveries),
      failed() {},
    },
    {
      open: true,
      handing: () => undefined,
      changed() {},
      restarted() {},
      gone() {},
      unreadable: (_, offset) => void warned.push(offset),
      lent: (holder) => present.has(holder),
    },
    reader,
    { maxPollRecords: 1_000 },
    60_000,
  );
  const part = (options: Partial<PartOptions> = {}): Part => {
    const one = new Part(
      {
        topic: 't',
        partition: 0,
        kind: 'main',
        slot: 0,
        ledger: new Ledger(0),
        start: options.ledger?.floor ?? 0,
        busTopic: 't',
        exact: true,
        notDueBefore: 0,
        ...options,
      },
      feed,
    );
    feed.add(one);
    return one;
  };
  return { feed, part, got, lost, warned, present, asked, log };
}

/** What waits for its turn now has had it. */
export async function turn(): Promise<void> {
  for (let n = 0; n < 5; n++) await new Promise((resolve) => setImmediate(resolve));
}

export function offsets(entries: readonly Delivery[]): number[] {
  return (entries as readonly Entry[]).map(({ offset }) => offset);
}
