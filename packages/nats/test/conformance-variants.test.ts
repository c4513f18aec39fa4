import { describeConformance } from '@ambus/conformance/vitest';
import { clusterSetup, natsSetup } from './support/setup.ts';

/** Without what the server has learned since: it neither holds messages back for their time nor lets them expire. */
await describeConformance('nats', async () => ({ ...(await natsSetup('2.11')), variant: '2.11' }));

await describeConformance('nats', async () => ({ ...(await clusterSetup()), variant: 'cluster' }));
