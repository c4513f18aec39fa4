import { wait } from '../driver/cluster.ts';
import { Code } from '../driver/errors.ts';
import { CoordinatorOf } from '../driver/group-requests.ts';
import { initProducerId } from '../driver/log-requests.ts';
import { listOpenTransactions } from '../driver/transaction-requests.ts';
import type { Hub } from '../hub.ts';
import { transactionsOf, transactionTimeout } from './transaction.ts';

const LOOK = 20;
const PATIENCE = 5_000;

/**
 * Ends the transactions that members have left open who are gone: until then nobody reads the positions and the records
 * that are in them. The server does it too, but only after the transaction's timeout and its own time to look. Where it is
 * not possible, nothing is lost but that time.
 *
 * @param alive - the names under which members of the group have transactions
 */
export async function endOrphans(hub: Hub, group: string, alive: readonly string[]): Promise<void> {
  const found = await Promise.all(
    hub.cluster.nodes().map((node) => openTransactions(hub, node).catch(() => [])),
  );
  const start = transactionsOf(group);
  const orphans = found.flat().filter((id) => id.startsWith(start) && !alive.includes(id));
  await Promise.all(orphans.map((id) => fence(hub, id).catch(() => {})));
}

/** Over a connection of its own: a server that does not know the request drops it. */
async function openTransactions(hub: Hub, node: number): Promise<readonly string[]> {
  const link = await hub.cluster.dedicated(node);
  try {
    return (await link.send(listOpenTransactions())).ids;
  } finally {
    link.close();
  }
}

/** Whoever takes a name over ends what was open under it. */
async function fence(hub: Hub, id: string): Promise<void> {
  const deadline = Date.now() + PATIENCE;
  let error: number = Code.concurrentTransactions;
  while (error === Code.concurrentTransactions && Date.now() < deadline) {
    const request = initProducerId(id, transactionTimeout(hub));
    const of = CoordinatorOf.transaction;
    ({ error } = await hub.cluster.sendToCoordinator(id, request, (answer) => answer.error, deadline, of));
    if (error !== 0) await wait(LOOK);
  }
}
