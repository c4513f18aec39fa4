import { ConnectionError } from '@ambus/core';
import { until } from '../process/until.ts';

/** Milliseconds that the Sentinels get to find each other. They look for one another every two seconds. */
const PATIENCE = 30_000;

/** Resolves when every Sentinel knows the others and the replicas: before that none could make another one the master. */
export async function sentinelsAgree(
  ports: readonly number[],
  replicas: number,
  ask: (port: number, ...command: string[]) => Promise<string[]>,
): Promise<void> {
  const expected = `slaves=${replicas},sentinels=${ports.length}`;
  const agrees = async (port: number): Promise<void> => {
    const [info = ''] = await ask(port, 'INFO', 'sentinel');
    if (!info.includes(expected)) throw new ConnectionError(`a Sentinel does not see ${expected}`);
  };
  await Promise.all(ports.map((port) => until(() => agrees(port), PATIENCE)));
}
