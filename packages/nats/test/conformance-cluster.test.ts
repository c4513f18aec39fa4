import { CHAPTERS } from '@ambus/conformance';
import { describeConformance } from '@ambus/conformance/vitest';
import { startServer } from '@ambus/testing';
import { nats } from '../src/index.ts';
import { rawClient } from './support/raw.ts';

/** Three nodes, and every stream on all of them. */
await describeConformance('nats', async () => {
  const server = await startServer('nats', { cluster: 3 });
  const raw = rawClient(() => server.url);
  return {
    broker: 'nats',
    variant: 'cluster',
    chapters: CHAPTERS.filter((name) => name !== 'faults'),
    create: (options) =>
      nats({ servers: server.nodes.map(({ url }) => url), stream: { replicas: 3 }, ...options }),
    server: { raw, processes: { broker: 'nats', url: server.nodes.map(({ url }) => url).join(',') } },
    about: { version: server.version, started: `${server.started}, 3 nodes` },
    async close() {
      await raw.close().catch(() => {});
      await server.close();
    },
  };
});
