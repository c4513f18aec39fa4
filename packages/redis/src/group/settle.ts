import type { Context } from '../context.ts';
import type { Arg } from '../driver/encode.ts';
import type { Stored } from '../wire/entry.ts';

/** Most ids in one list of an ack: the script hands them to the server as arguments of a function. */
const MAX_IDS = 1_000;

/** Arguments of the script that acks, for records of one member. */
export function ackArgs(context: Context, group: string, member: string, records: readonly Stored[]): Arg[] {
  const args: Arg[] = [context.names.root, group, member];
  let countAt = -1;
  let count = 0;
  let topic: string | undefined;
  let kind: string | undefined;
  for (const record of records) {
    if (record.streamTopic !== topic || record.kind !== kind || count === MAX_IDS) {
      topic = record.streamTopic;
      kind = record.kind;
      count = 0;
      args.push(topic, kind, 0);
      countAt = args.length - 1;
    }
    args.push(record.entryId);
    if (kind === 'k') args.push(record.lane);
    args[countAt] = ++count;
  }
  return args;
}

export function releaseArgs(
  context: Context,
  group: string,
  member: string,
  records: readonly Stored[],
): Arg[] {
  const args: Arg[] = [context.names.root, group, member];
  for (const { streamTopic, kind, entryId, lane } of records) args.push(streamTopic, kind, entryId, lane);
  return args;
}

/** By the member that holds them: over a lost lease a subscription changes its name. */
export function byHolder(records: readonly Stored[]): ReadonlyMap<string, readonly Stored[]> {
  const first = records[0]?.holder;
  if (first === undefined) return new Map();
  if (records.every(({ holder }) => holder === first)) return new Map([[first, records]]);
  return Map.groupBy(records, ({ holder }) => holder);
}
