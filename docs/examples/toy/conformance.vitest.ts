import { describeConformance } from '@ambus/conformance/vitest';
import { additional } from './additional.ts';
import { ToyServer, toy } from './broker.ts';

const server = new ToyServer(); // or the address of a real one

await describeConformance('toy', {
  broker: 'toy',
  create: () => toy(server), // a broker for one bus; all on the same server
  about: { version: '1.0.0', started: 'in this process' }, // for the report
  // server: { … }: what can be done to it (cut, crash, wipe, a raw client …), for the cases that need it
  // isolate: () => …: a setup with a server of its own, for cases that others would feel
  additional, // cases that only this broker has
});
