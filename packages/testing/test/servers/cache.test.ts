import { existsSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { installed } from '../../src/servers/cache/install.ts';
import { run } from '../../src/servers/process/run.ts';
import { sqsKind } from '../../src/servers/sqs/kind.ts';
import { REQUIREMENTS } from '../../src/servers/sqs/requirements.ts';
import { program } from '../support/program.ts';

let cache: string;
const before = process.env.AMBUS_CACHE;

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'ambus-cache-test-'));
  process.env.AMBUS_CACHE = cache;
});

afterEach(() => {
  rmSync(cache, { recursive: true });
  if (before === undefined) delete process.env.AMBUS_CACHE;
  else process.env.AMBUS_CACHE = before;
});

const write = (text: string) => async (directory: string) => writeFileSync(join(directory, 'text'), text);

// The first run downloads the servers, and others may keep the computer busy.
vi.setConfig({ testTimeout: 120_000 });

describe('the cache of servers', () => {
  test('is filled once by several processes that start at the same time', async () => {
    const log = join(cache, 'log');
    const source = `
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
const path = await installed('thing', async (directory) => {
  appendFileSync(${JSON.stringify(log)}, 'x');
  await new Promise((resolve) => setTimeout(resolve, 300));
  writeFileSync(directory + '/text', 'whole');
});
console.log(JSON.stringify(readFileSync(path + '/text', 'utf8')));`;
    const programs = Array.from({ length: 5 }, () => program(source, { AMBUS_CACHE: cache }));
    expect(await Promise.all(programs.map(({ line }) => line))).toEqual(Array(5).fill('whole'));
    await Promise.all(programs.map(({ ended }) => ended));
    expect(readFileSync(log, 'utf8')).toBe('x');
    expect((await readdir(cache)).sort()).toEqual(['log', 'thing']);
  });

  test('gets real servers into an empty directory, also for several processes at once', async () => {
    const source = `
const server = await startServer('nats', { via: 'native', quiet: true });
console.log(JSON.stringify(server.version));
await server.close();`;
    const programs = Array.from({ length: 3 }, () => program(source, { AMBUS_CACHE: cache }));
    const versions = await Promise.all(programs.map(({ line }) => line));
    expect(versions).toEqual(Array(3).fill('NATS 2.15.1'));
    await Promise.all(programs.map(({ ended }) => ended));
    expect(await readdir(cache)).toHaveLength(1);
  });

  test('gives a Python only what was installed for its own version', async () => {
    const [, version] = REQUIREMENTS.find((one) => one.startsWith('localstack-core'))?.split('==') ?? [];
    const name = `localstack-${version}-${process.platform}-${process.arch}`;
    const tags = Array.from({ length: 9 }, (_, minor) => `cpython-${312 + minor}`);
    for (const place of [name, ...tags.map((tag) => `${name}-${tag}`)]) await mkdir(join(cache, place));
    const { command, env } = (await sqsKind.native({}))('localstack', []);
    const tag = await run(command[0] ?? '', ['-c', 'import sys; print(sys.implementation.cache_tag)']);
    expect(env?.PYTHONPATH).toBe(join(cache, `${name}-${tag.trim()}`));
  });

  test('is not held up by the lock of a process that died', async () => {
    const lock = join(cache, 'thing.lock');
    writeFileSync(lock, '');
    const minuteAgo = new Date(Date.now() - 60_000);
    utimesSync(lock, minuteAgo, minuteAgo);
    const path = await installed('thing', write('whole'));
    expect(readFileSync(join(path, 'text'), 'utf8')).toBe('whole');
    expect(existsSync(lock)).toBe(false);
  });

  test('keeps nothing of downloads that were interrupted long ago', async () => {
    const age = async (draft: string, minutes: number): Promise<void> => {
      const time = new Date(Date.now() - minutes * 60_000);
      await mkdir(join(cache, draft, 'half'), { recursive: true });
      utimesSync(join(cache, draft), time, time);
    };
    await age('.thing-abc123', 61);
    await age('.thing-def456', 50);
    await age('.thing-of-another-abc123', 61);
    await installed('thing', write('whole'));
    await age('.thing-ghi789', 61);
    await installed('thing', write('whole'));
    expect((await readdir(cache)).sort()).toEqual(['.thing-def456', '.thing-of-another-abc123', 'thing']);
  });

  test('keeps nothing of a download that failed, and tries again', async () => {
    const failing = installed('thing', async (directory) => {
      await write('half')(directory);
      throw new Error('the line broke');
    });
    await expect(failing).rejects.toThrow('the line broke');
    expect(await readdir(cache)).toEqual([]);
    await installed('thing', write('whole'));
    expect(await readdir(cache)).toEqual(['thing']);
  });
});
