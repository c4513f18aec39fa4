import { describeConformance } from '@ambus/conformance/vitest';
import { closeShared, setupOf, startKafka } from './support/setup.ts';

await describeConformance('kafka', async () => {
  const server = await startKafka({ quiet: false });
  return {
    ...setupOf(server),
    async close() {
      await server.close();
      await closeShared();
    },
  };
});
