// Runs a part of the suite on memory until the first case fails, and prints which, or nothing.
import { runConformance } from '@ambus/conformance';
import { memorySetup } from '../memory-setup.ts';

function failed(what: string): never {
  console.log(what);
  process.exit(0);
}

// As a test runner would.
process.on('unhandledRejection', (error) => failed(`unhandled rejection: ${error}`));

// What is broken is mostly noticed by something that never comes: that need not be waited for long.
const isBroken = process.env.AMBUS_MUTATION !== undefined;

await runConformance(isBroken ? { ...memorySetup(), patience: 2_000 } : memorySetup(), {
  only: process.argv[2] ?? '',
  concurrency: 32,
  report: ({ id, outcome }) => {
    if (outcome === 'failed') failed(id);
  },
});
process.exit(0);
