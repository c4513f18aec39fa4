import { describeConformance } from '@ambus/conformance/vitest';
import { natsSetup } from './support/setup.ts';

await describeConformance('nats', natsSetup);
