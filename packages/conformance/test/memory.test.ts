import { describeConformance } from '../src/vitest.ts';
import { memorySetup } from './memory-setup.ts';

await describeConformance('memory', memorySetup());
