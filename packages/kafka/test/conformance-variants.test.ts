import { CHAPTERS } from '@ambus/conformance';
import { describeConformance } from '@ambus/conformance/vitest';
import { kafka } from '../src/index.ts';
import { rawClient } from './support/raw.ts';
import { closeShared, SMALL, setupOf, startKafka } from './support/setup.ts';

/** The oldest release that is promised, whole. */
await describeConformance('kafka', async () => {
  const server = await startKafka({ version: '3.9', quiet: false });
  return {
    ...setupOf(server, { version: '3.9' }),
    variant: '3.9',
    async close() {
      await server.close();
      await closeShared();
    },
  };
});

/** Three nodes, and every topic on all of them. */
await describeConformance('kafka', async () => {
  const server = await startKafka({ cluster: 3, quiet: false });
  const brokers = server.nodes.map(({ host, port }) => `${host}:${port}`);
  return {
    broker: 'kafka',
    variant: 'cluster',
    chapters: CHAPTERS.filter((name) => name !== 'faults'),
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
