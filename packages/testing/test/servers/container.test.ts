import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Kind } from '../../src/servers/kind.ts';
import { redisKind } from '../../src/servers/redis/kind.ts';
import { WAYS } from '../../src/servers/ways.ts';

/** What the Docker of these tests says when a container is started, and what the container wrote. */
const docker = vi.hoisted(() => ({ reason: '', log: Buffer.alloc(0) }));

vi.mock('../../src/servers/docker/runtime.ts', () => {
  class GenericContainer {
    constructor() {
      // biome-ignore lint/correctness/noConstructorReturn: every method returns the container, which has more of them
      return new Proxy(this, {
        get: (_, name, self) =>
          name === 'start' ? () => Promise.reject(new Error(docker.reason)) : () => self,
      });
    }
  }
  const container = { logs: async () => docker.log, remove: async () => {} };
  return {
    dockerRuntime: async () => ({
      library: { GenericContainer },
      client: { container: { getById: () => container } },
    }),
    needImage: async () => {},
  };
});

const ports: number[] = [];
const kind: Kind<object> = {
  ...redisKind,
  async plan(options, host) {
    const plan = await redisKind.plan(options, host);
    ports.push(...plan.nodes.map(({ port }) => port));
    return plan;
  },
};

beforeEach(() => {
  ports.length = 0;
  docker.log = Buffer.alloc(0);
});

describe('a container that cannot start', () => {
  test('says why, and has no log', async () => {
    docker.reason = 'no space left on device';
    await expect(WAYS.docker(kind, {})).rejects.toMatchObject({
      code: 'CONNECTION',
      message: 'redis-server did not start: no space left on device',
    });
    expect(ports).toHaveLength(1);
  });

  test('says what it wrote, too', async () => {
    const text = Buffer.from('bad directive\n');
    const head = Buffer.alloc(8);
    head.writeUInt32BE(text.length, 4);
    docker.reason = 'No host port found';
    docker.log = Buffer.concat([head, text]);
    await expect(WAYS.docker(kind, {})).rejects.toThrow(
      /^redis-server did not start: No host port found; its log:\nbad directive$/,
    );
  });

  test('is tried again with other ports when somebody has taken one', async () => {
    docker.reason = 'Bind for 127.0.0.1:20001 failed: port is already allocated';
    await expect(WAYS.docker(kind, {})).rejects.toThrow('port is already allocated');
    expect(new Set(ports).size).toBe(3);
  });
});
