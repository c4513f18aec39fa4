import type { Server } from '@ambus/testing';
import { afterAll } from 'vitest';
import { startKafka } from './start.ts';

const servers = new Map<string, Promise<Server>>();
afterAll(async () => {
  for (const server of servers.values()) await (await server).close();
});

/** Servers that several tests of a file share. */
export function shared(options: NonNullable<Parameters<typeof startKafka>[0]>): Promise<Server> {
  const name = JSON.stringify(options);
  const server = servers.get(name) ?? startKafka(options);
  servers.set(name, server);
  return server;
}
