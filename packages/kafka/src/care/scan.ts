import { Code, serverError } from '../driver/errors.ts';
import { fetch } from '../driver/log-requests.ts';
import { decodeBatches, type InRecord, readHeaders } from '../driver/records.ts';
import { CANCEL, REMOVE } from '../feed/part.ts';
import type { Place } from '../group/positions.ts';
import type { Hub } from '../hub.ts';

export interface Step {
  readonly records: readonly InRecord[];
  /** Where the next step begins: what has no record before it is gone, or never was one. */
  readonly next: number;
}

/** Reads one partition from `from` to `to`, in steps. */
export async function* scan(
  hub: Hub,
  { topic, partition }: Place,
  from: number,
  to: number,
): AsyncGenerator<Step> {
  const { cluster, catalog, settings } = hub;
  let offset = from;
  while (offset < to) {
    const leader = catalog.known(topic)?.leaders[partition] ?? -1;
    if (leader < 0) return;
    const request = fetch([{ topic, partition, offset }], { ...settings, minBytes: 1, maxWait: 200 });
    const [answer] = await cluster.send(leader, request);
    if (answer === undefined) return;
    // Removed, or deleted altogether, since its extent was asked for.
    if (answer.error === Code.offsetOutOfRange || answer.error === Code.unknownTopic) return;
    if (answer.error !== 0) throw serverError(answer.error, `reading "${topic}"`, topic);
    const { records, next } = await decodeBatches(answer.records, offset, answer.aborted);
    if (next === offset) return;
    offset = next;
    yield { records: records.filter((record) => record.offset < to), next: Math.min(next, to) };
  }
}

/** What a record without a body says about another one. */
export function noteOf(raw: InRecord): { readonly remove?: number; readonly cancel?: string } | undefined {
  for (const [name, value] of readHeaders(raw.headers)) {
    if (name === REMOVE) return { remove: Number(value) };
    if (name === CANCEL) return { cancel: String(value) };
  }
  return undefined;
}
