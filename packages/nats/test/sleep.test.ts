import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createBus } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { nats } from '../src/index.ts';

let server: Server;
beforeAll(async () => {
  server = await startServer('nats', { quiet: true });
});
afterAll(() => server.close());

it('a delivery that came while its process slept counts no attempt when it comes again', async () => {
  const prefix = 'asleep';
  const script = fileURLToPath(new URL('./support/sleeper.ts', import.meta.url));
  const child = spawn(process.execPath, ['--conditions=@ambus/source', script, server.url, prefix, '3000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    let printed = '';
    child.stdout.on('data', (text) => {
      printed += text;
    });
    await using bus = await createBus({ broker: nats({ url: server.url }), prefix, logger: false });
    await expect.poll(() => printed, { timeout: 10_000 }).toBe('ready\n');
    await bus.publish('a', 'before');
    await expect.poll(() => printed, { timeout: 10_000 }).toBe('ready\nbefore 1\n');
    child.kill('SIGSTOP');
    await bus.publish('a', 'asleep');
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    child.kill('SIGCONT');
    await expect.poll(() => printed, { timeout: 10_000 }).toMatch(/^ready\nbefore 1\nasleep /);
    expect(printed).toMatch(/^ready\nbefore 1\nasleep 1\n/);
  } finally {
    child.kill('SIGKILL');
  }
}, 40_000);
