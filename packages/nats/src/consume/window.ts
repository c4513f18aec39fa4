import { type RecordClass, rankOf } from '../names.ts';
import type { ClassFlow, GroupLoan } from './class-flow.ts';
import { READ_AHEAD } from './gathering.ts';
import type { Turns } from './turns.ts';

export const LOWEST = 4;

/** The lowest rank that may go now: none below one of which more is on its way, or whose class is being opened. */
export function lowestRank(
  turns: Turns<GroupLoan>,
  flows: Iterable<ClassFlow>,
  opening: Iterable<RecordClass>,
): number {
  const now = Date.now();
  let lowest = LOWEST;
  for (const flow of flows) {
    if (flow.rank < lowest && turns.sizeOf(flow.rank) === 0 && flow.isExpecting(now)) lowest = flow.rank;
  }
  for (const recordClass of opening) lowest = Math.min(lowest, rankOf(recordClass));
  return lowest;
}

/**
 * Asks for what there is room for, not counting what is of lower rank and waits already; and for all that nothing may
 * overtake.
 *
 * @param free - deliveries that core has room for
 */
export function demand(turns: Turns<GroupLoan>, flows: Iterable<ClassFlow>, free: number): void {
  const mayAsk = free > 0 && turns.waiting < READ_AHEAD;
  for (const flow of flows) {
    if (!flow.mayRun) continue;
    let ahead = flow.unread;
    for (let rank = 0; rank <= flow.rank; rank++) ahead += turns.sizeOf(rank);
    flow.want(Math.max(mayAsk ? free - ahead : 0, flow.owed));
  }
}
