import { defaultServerConditions } from 'vite';
import { configDefaults, defineConfig, type ViteUserConfig } from 'vitest/config';

/** With `AMB_BROKERS` only these brokers' servers are started. The suites of the others stay and say that they are left out. */
const brokers = process.env.AMB_BROKERS?.split(',');
const leftOut = ['redis', 'nats', 'kafka'].filter((name) => brokers !== undefined && !brokers.includes(name));
const withServers = ['packages/testing/test/servers/**', 'packages/schema-registry/test/**'];

const config: ViteUserConfig = defineConfig({
  ssr: {
    resolve: { conditions: ['@ambus/source', ...defaultServerConditions] },
  },
  test: {
    include: [
      'packages/*/test/**/*.test.ts',
      'docs/**/*.test.ts',
      'examples/*/test/**/*.test.ts',
      'bench/test/**/*.test.ts',
      'scripts/test/**/*.test.ts',
    ],
    exclude: [
      ...configDefaults.exclude,
      ...leftOut.map((name) => `packages/${name}/test/!(conformance*).test.ts`),
      ...(brokers === undefined ? [] : withServers),
    ],
    // Node itself resolves what Vite leaves alone, in the workers and in the processes that tests start.
    execArgv: ['--conditions=@ambus/source'],
    sequence: { shuffle: true },
    testTimeout: 20_000,
    hookTimeout: 60_000,
  },
});

export default config;
