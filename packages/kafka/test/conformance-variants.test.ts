import type { Chapter } from '@ambus/conformance';
import { describeConformance } from '@ambus/conformance/vitest';
import { kafka } from '../src/index.ts';
import { rawClient } from './support/raw.ts';
import { kafkaSetup, SMALL } from './support/setup.ts';
import { startKafka } from './support/start.ts';

/** The oldest release that is promised, whole. */
await describeConformance('kafka', async () => ({
  ...(await kafkaSetup({ version: '3.9' })),
  variant: '3.9',
}));

/** Where it matters that leaders, coordinators and copies are on different nodes. */
const CHAPTERS: readonly Chapter[] = ['groups', 'settlement', 'order', 'retries', 'dead-letters', 'delivery'];

/** Three nodes, and every topic on all of them; `kafkaSetup` has the case in which one of them goes. */
await describeConformance('kafka', async () => {
  const server = await startKafka({ cluster: 3, quiet: false });
  const brokers = server.nodes.map(({ host, port }) => `${host}:${port}`);
  return {
    broker: 'kafka',
    variant: 'cluster',
    chapters: CHAPTERS,
    create: (options) => kafka({ ...SMALL, brokers, replicationFactor: 3, ...options }),
    patience: 15_000,
    server: {
      raw: rawClient(() => brokers[0]!),
      processes: { broker: 'kafka', url: `kafka://${brokers.join(',')}` },
    },
    about: { version: server.version, started: `${server.started}, 3 nodes` },
    close: () => server.close(),
  };
});
