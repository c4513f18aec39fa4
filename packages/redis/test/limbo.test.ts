import { connect, createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until, type World, world } from './support/world.ts';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());

const stream = (topic: string): string => `{${w.prefix}.0}:stream:${topic}:2`;

test('what a member was given and never got is handled, and what its handler has is left to it', async () => {
  const bus = await w.bus({ lease: 900 });
  for (const [topic, pattern] of [
    ['given', 'given'],
    ['matched.given', 'matched.*'],
  ] as const) {
    const got: number[] = [];
    const held = Promise.withResolvers<void>();
    const take = async ({ data }: { data: number }): Promise<void> => {
      got.push(data);
      if (data === 1) await held.promise;
    };
    await bus.subscribe<number>(pattern, take, { group: 'g', prefetch: 2, concurrency: 2 });
    await bus.publish(topic, 1);
    await until(() => got.length === 1);
    const group = `g|${pattern}`;
    const [[, owner]] = (await w.raw.xpending(stream(topic), group, '-', '+', 1)) as [[string, string]];
    const [[, fields]] = (await w.raw.xrange(stream(topic), '-', '+')) as [[string, string[]]];
    await w.raw
      .multi()
      .xadd(stream(topic), '*', ...fields.map((field) => (field === '1' ? '2' : field)))
      .xreadgroup('GROUP', group, owner, 'COUNT', 1, 'STREAMS', stream(topic), '>')
      .exec();
    expect(await w.raw.xpending(stream(topic), group)).toContainEqual([[owner, '2']]);
    await until(() => got.length === 2);
    held.resolve();
    await until(async () => (await bus.admin.group(pattern, 'g'))?.depth === 0);
    expect(got).toEqual([1, 2]);
  }
});

/** Leads to the server; what is frozen stays open there, passes nothing more, and does not hear that its client has gone. */
async function freezer(): Promise<{ port: number; freeze(): void; close(): void }> {
  const { hostname, port } = new URL(w.server.url);
  let pairs: Socket[][] = [];
  const frozen: Socket[][] = [];
  const proxy = createServer((client) => {
    const pair = [client, connect(Number(port), hostname)] as const;
    pairs.push([...pair]);
    for (const [at, socket] of pair.entries()) {
      socket.on('data', (bytes) => pair[1 - at]!.write(bytes)).on('error', () => {});
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    port: (proxy.address() as { port: number }).port,
    freeze() {
      for (const [client, server] of pairs) {
        for (const socket of [client!, server!]) socket.removeAllListeners('data').resume();
        client!.destroy();
      }
      frozen.push(...pairs);
      pairs = [];
    },
    close() {
      for (const socket of [...frozen, ...pairs].flat()) socket.destroy();
      proxy.close();
    },
  };
}

test('a read that a lost connection left at the server takes nothing of what follows', async () => {
  const way = await freezer();
  const [bus, publisher] = [await w.bus({ url: `redis://127.0.0.1:${way.port}` }), await w.bus()];
  try {
    const got: number[] = [];
    await bus.subscribe<number>('left', ({ data }) => void got.push(data), { group: 'g' });
    await publisher.publish('left', 1);
    await until(
      async () => got.length === 1 && / cmd=xreadgroup /.test((await w.raw.client('LIST')) as string),
    );
    const back = new Promise<void>((resolve) => void bus.on('reconnected', () => resolve()));
    way.freeze();
    await back;
    for (const n of [2, 3]) await publisher.publish('left', n);
    await until(() => got.length === 3, 3_000);
  } finally {
    await bus.close();
    way.close();
  }
});
