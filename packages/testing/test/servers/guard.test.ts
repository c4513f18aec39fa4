import { existsSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { until } from '../../src/servers/process/until.ts';
import { program } from '../support/program.ts';
import { isRunning } from '../support/servers.ts';

const SERVERS = `
const options = { via: 'native', quiet: true };
const redis = await startServer('redis', options);
const nats = await startServer('nats', { ...options, cluster: 3 });
await redis.kill9();
await redis.start();
await nats.nodes[0].pause();
const pids = [...redis.nodes, ...nats.nodes].map((node) => node.pid);
console.log(JSON.stringify({ pids, directory: workDirectory() }));`;

interface Left {
  readonly pids: readonly number[];
  readonly directory: string;
}

async function nothingIsLeft({ pids, directory }: Left): Promise<void> {
  await until(async () => {
    if (pids.some(isRunning) || existsSync(directory)) throw new Error('something is left');
  }, 5_000);
}

// The first run downloads the servers, and others may keep the computer busy.
vi.setConfig({ testTimeout: 120_000 });

describe('when the process of a test ends', () => {
  test('by kill -9, its servers and their data are gone', async () => {
    const { child, line, ended } = program(`${SERVERS}\nsetInterval(() => {}, 1_000);`);
    const left = (await line) as Left;
    expect(left.pids).toHaveLength(4);
    expect(left.pids.every(isRunning)).toBe(true);
    child.kill('SIGKILL');
    await ended;
    await nothingIsLeft(left);
  });

  test('by kill -9, a program that installs something ends, too', async () => {
    const { child, line, ended } = program(`
const { createServer } = await import('node:net');
const server = createServer((socket) => socket.on('data', (pid) => console.log(String(pid))));
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const installer = 'require("node:net").connect(+process.argv[1]).write(String(process.pid)); setTimeout(() => {}, 20_000)';
  run(process.execPath, ['-e', installer, String(port)]);
});`);
    const pid = (await line) as number;
    expect(isRunning(pid)).toBe(true);
    child.kill('SIGKILL');
    await ended;
    await nothingIsLeft({ pids: [pid], directory: '/nowhere' });
  });

  test('by itself, it is not held up by servers that nobody closed, and they are gone', async () => {
    const { line, ended } = program(SERVERS);
    const left = (await line) as Left;
    expect(await ended).toEqual([0, null]);
    await nothingIsLeft(left);
  });

  test('by an error, they are gone', async () => {
    const { line, ended } = program(`${SERVERS}\nthrow new Error('no');`);
    const left = (await line) as Left;
    await ended;
    await nothingIsLeft(left);
  });
});
