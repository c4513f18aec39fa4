import { randomBytes } from 'node:crypto';
import { type Bus, type BusOptions, createBus } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import { Redis } from 'ioredis';
import { type RedisOptions, redis } from '../../src/index.ts';

type ServerOptions = NonNullable<Parameters<typeof startServer<'redis'>>[1]>;

/** A server, a client of its own, and buses that are closed with it. */
export interface World {
  readonly server: Server;
  readonly raw: Redis;
  readonly prefix: string;
  bus(options?: RedisOptions, busOptions?: BusOptions): Promise<Bus>;
  close(): Promise<void>;
}

export async function world(options: ServerOptions = {}): Promise<World> {
  const server = await startServer('redis', { via: 'native', quiet: true, ...options });
  const raw = new Redis(server.url, options.tls ? { tls: { ...server.tls! } } : {});
  const buses: Bus[] = [];
  const prefix = `t${randomBytes(4).toString('hex')}`;
  return {
    server,
    raw,
    prefix,
    async bus(own = {}, busOptions = {}) {
      const broker = redis({ url: server.url, ...own });
      const bus = await createBus({ broker, prefix, logger: false, ...busOptions });
      buses.push(bus);
      return bus;
    },
    async close() {
      await Promise.all(buses.map((bus) => bus.close({ timeout: 1_000 })));
      raw.disconnect();
      await server.close();
    },
  };
}

/** Waits until `condition` holds. */
export async function until(condition: () => unknown, timeout = 15_000): Promise<void> {
  const end = performance.now() + timeout;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${timeout} ms in vain for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
