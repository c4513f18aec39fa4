import { describeConformance } from '@ambus/conformance/vitest';
import { kafkaSetup } from './support/setup.ts';

await describeConformance('kafka', kafkaSetup);
