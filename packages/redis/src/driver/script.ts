import { createHash } from 'node:crypto';
import { isBroken } from '../errors.ts';
import { type Client, isCluster } from './dial.ts';

/** A script as the server knows it. */
export interface Script {
  readonly name: string;
  readonly source: string;
  readonly sha: string;
}

export function script(name: string, source: string): Script {
  return { name, source, sha: createHash('sha1').update(source).digest('hex') };
}

/** Makes scripts known to the server. Those that are missing all the same are sent with their first call. */
export async function loadScripts(client: Client, scripts: readonly Script[]): Promise<void> {
  const shas = scripts.map(({ sha }) => sha);
  // A node that is down would never answer.
  const nodes = isCluster(client)
    ? client.nodes('master').filter(({ status }) => status === 'ready')
    : [client];
  const loads = nodes.map(async (node) => {
    const known = (await node.script('EXISTS', ...shas)) as number[];
    const missing = scripts.filter((_, at) => known[at] !== 1);
    await Promise.all(missing.map(({ source }) => node.script('LOAD', source)));
  });
  for (const outcome of await Promise.allSettled(loads)) {
    if (outcome.status === 'rejected' && !isCluster(client) && isBroken(outcome.reason)) throw outcome.reason;
  }
}
