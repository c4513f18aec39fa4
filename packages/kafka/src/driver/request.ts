import type { Reader, Writer } from './bytes.ts';

/**
 * One request of Kafka's protocol, in a fixed version that every server since 3.0 speaks; without tagged fields where what
 * it is for allows.
 */
export interface Request<T> {
  readonly key: number;
  readonly version: number;
  readonly name: string;
  write(to: Writer): void;
  read(from: Reader): T;
  /** Milliseconds that the server itself may hold the answer back. Default 0. */
  readonly hold?: number;
}

/**
 * Milliseconds that a server waits for copies of what it stores of a group or a transaction: by default its
 * `offsets.commit.timeout.ms`.
 */
export const STORING = 5_000;

/** Partitions of one topic. */
export interface ByTopic<T> {
  readonly topic: string;
  readonly partitions: readonly T[];
}

/** Entries that name their topic, put together by it. */
export function byTopic<T extends { readonly topic: string }>(entries: Iterable<T>): ByTopic<T>[] {
  const topics = new Map<string, T[]>();
  for (const entry of entries) {
    const known = topics.get(entry.topic);
    if (known === undefined) topics.set(entry.topic, [entry]);
    else known.push(entry);
  }
  return Array.from(topics, ([topic, partitions]) => ({ topic, partitions }));
}
