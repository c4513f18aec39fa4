import { type MemoryHub, memory } from '@ambus/memory';
import { describeConformance } from '../src/vitest.ts';

const hub = 'conformance';

await describeConformance({
  broker: 'memory',
  create: (options) => memory({ hub, ...options }),
});
