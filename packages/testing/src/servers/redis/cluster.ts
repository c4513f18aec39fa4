import { ConnectionError } from '@ambus/core';
import { until } from '../process/until.ts';
import type { RedisNodeConfig } from './config.ts';

const SLOTS = 16_384;
/** Milliseconds that the nodes get to agree. */
const PATIENCE = 30_000;

type Ask = (port: number, ...command: string[]) => Promise<string[]>;

/** Makes one cluster of nodes that know nothing of each other: the first `masters` share the slots. */
export async function joinCluster(
  nodes: readonly RedisNodeConfig[],
  masters: number,
  ask: Ask,
): Promise<void> {
  const [first] = nodes;
  if (first === undefined) return;
  await Promise.all(
    nodes.map(async ({ port }, index) => {
      await ask(port, 'CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1));
      if (index >= masters) return;
      const from = Math.floor((index * SLOTS) / masters);
      const to = Math.floor(((index + 1) * SLOTS) / masters) - 1;
      await ask(port, 'CLUSTER', 'ADDSLOTSRANGE', String(from), String(to));
    }),
  );
  for (const { port, busPort } of nodes.slice(1)) {
    await ask(first.port, 'CLUSTER', 'MEET', '127.0.0.1', String(port), String(busPort));
  }
  await Promise.all(nodes.map((node) => until(() => knowsAll(node, nodes.length, ask), PATIENCE)));
  const ids = await Promise.all(
    nodes.map(async ({ port }) => (await ask(port, 'CLUSTER', 'MYID'))[0] as string),
  );
  for (const [index, { port }] of nodes.entries()) {
    if (index >= masters) await ask(port, 'CLUSTER', 'REPLICATE', ids[index % masters] as string);
  }
}

/** Resolves when every node sees all slots served. */
export async function clusterIsWhole(nodes: readonly RedisNodeConfig[], ask: Ask): Promise<void> {
  await Promise.all(nodes.map(({ port }) => until(() => isWhole(port, ask), PATIENCE)));
}

async function knowsAll({ port }: RedisNodeConfig, count: number, ask: Ask): Promise<void> {
  const [info = ''] = await ask(port, 'CLUSTER', 'INFO');
  if (!info.includes(`cluster_known_nodes:${count}\r\n`))
    throw new ConnectionError('a node does not know all');
}

async function isWhole(port: number, ask: Ask): Promise<void> {
  const [info = ''] = await ask(port, 'CLUSTER', 'INFO');
  if (!info.includes('cluster_state:ok')) throw new ConnectionError('the cluster is not whole');
}
