import { CHAPTERS } from '@ambus/conformance';
import { describeConformance } from '@ambus/conformance/vitest';
import { startServer } from '@ambus/testing';
import { redis } from '../src/index.ts';
import { rawClient } from './support/raw.ts';

const chapters = CHAPTERS.filter((name) => name !== 'faults');

for (const version of ['8', 'valkey'] as const) {
  await describeConformance('redis', async () => {
    const server = await startServer('redis', { via: 'native', version });
    return {
      broker: 'redis',
      variant: version,
      chapters,
      create: (options) => redis({ url: server.url, ...options }),
      server: { raw: rawClient(() => server.url), processes: { broker: 'redis', url: server.url } },
      about: { version: server.version, started: server.started },
      close: () => server.close(),
    };
  });
}

await describeConformance('redis', async () => {
  const server = await startServer('redis', { via: 'native', cluster: 3 });
  const nodes = server.nodes.map(({ host, port }) => ({ host, port }));
  return {
    broker: 'redis',
    variant: 'cluster',
    chapters,
    create: (options) => redis({ cluster: nodes, ...options }),
    server: {
      processes: {
        broker: 'redis',
        url: `redis+cluster://${nodes.map(({ host, port }) => `${host}:${port}`).join(',')}`,
      },
    },
    about: { version: server.version, started: `${server.started}, 3 nodes` },
    close: () => server.close(),
  };
});
