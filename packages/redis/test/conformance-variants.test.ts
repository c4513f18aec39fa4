import { describeConformance } from '@ambus/conformance/vitest';
import { startServer } from '@ambus/testing';
import { clusterSetup, redisSetup } from './support/setup.ts';

for (const version of ['8', 'valkey'] as const) {
  await describeConformance('redis', async () => {
    const server = await startServer('redis', { via: 'native', version });
    return { ...(await redisSetup(server, {}, version)), variant: version, close: () => server.close() };
  });
}

await describeConformance('redis', async () => ({
  ...clusterSetup(await startServer('redis', { via: 'native', cluster: 3 })),
  variant: 'cluster',
}));
