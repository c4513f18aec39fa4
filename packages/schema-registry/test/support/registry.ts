import type { SerializerContext } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import { afterAll, beforeAll, vi } from 'vitest';
import { type SchemaRegistry, schemaRegistry } from '../../src/index.ts';

/** A real registry for a test file. Subjects have unique names, as somebody's own may hold others. */
interface TestRegistry {
  readonly server: Server;
  /** A client with an empty memory. */
  client(): SchemaRegistry;
  /** A name of a topic that no other test has. */
  topic(name: string): string;
  /** The raw API. */
  api(method: string, path: string, body?: unknown): Promise<any>;
}

let count = 0;

function testRegistry(): TestRegistry {
  let server: Server;
  const run = Date.now().toString(36);
  const registry: TestRegistry = {
    get server() {
      return server;
    },
    client: () => schemaRegistry({ url: server.url }),
    topic: (name) => `${name}-${run}-${++count}`,
    async api(method, path, body) {
      const response = await fetch(`${server.url}/${path}`, {
        method,
        headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
        ...(body === undefined ? undefined : { body: JSON.stringify(body) }),
      });
      return response.json();
    },
  };
  beforeAll(async () => {
    server = await startServer('schema-registry');
    // Apicurio's own default is NONE.
    await registry.api('PUT', 'config', { compatibility: 'BACKWARD' });
  });
  afterAll(() => server.close());
  return registry;
}

/** What a serializer sees of a message. */
export const on = (topic: string): SerializerContext => ({ topic, headers: {} });

// A registry takes seconds to start, and far more on a busy machine.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 120_000 });

export const registry: TestRegistry = testRegistry();
