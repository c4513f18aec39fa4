import { randomBytes } from 'node:crypto';
import type { Pair } from './program.ts';

const BACKLOG = 1_000_000;
const WINDOW = 1_000;
/** Looks at the memory while so many of them are handled. */
const LOOKS = 8;

const megabytes = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MB`;

/** Resident memory of our own consumer before it meets a million waiting messages, and at most while it works on them. */
export async function backlogMemory(pairs: readonly Pair[], scale: number): Promise<string> {
  const pair = pairs.find(({ name }) => name.includes('Ambus'));
  if (pair === undefined) return '';
  const count = Math.round((BACKLOG * scale) / WINDOW) * WINDOW;
  const topic = `bench.t${randomBytes(5).toString('hex')}`;
  await pair.consumer.call({ do: 'prepare', topic });
  await pair.publisher.call({ do: 'publish', way: 'durable', topic, size: '100 B', count, window: WINDOW });
  const before = await pair.consumer.call<number>({ do: 'memory' });
  await pair.consumer.call({ do: 'consume', way: 'durable', topic });
  let most = 0;
  for (let look = 1; look <= LOOKS; look++) {
    await pair.consumer.call({ do: 'await', count: Math.round((count * look) / LOOKS) });
    most = Math.max(most, await pair.consumer.call<number>({ do: 'memory' }));
  }
  await pair.consumer.call({ do: 'stop' });
  return `A consumer with ${count.toLocaleString('en-US')} messages waiting: ${megabytes(before)} before, at most ${megabytes(most)} while it handled them.\n`;
}
