import { describeConformance } from '@ambus/conformance/vitest';
import { startServer } from '@ambus/testing';
import { redisSetup } from './support/setup.ts';

await describeConformance('redis', async () => {
  const server = await startServer('redis', { via: 'native' });
  return { ...(await redisSetup(server)), close: () => server.close() };
});
