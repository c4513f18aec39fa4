import { existsSync } from 'node:fs';
import { type Server, type ServerOptions, startServer } from '@ambus/testing';

/** A suite makes thousands of topics, and a disk needs many times as long for one as memory does. */
const MEMORY = '/dev/shm';
if (existsSync(MEMORY)) process.env.TMPDIR = MEMORY;

export function startKafka(options: ServerOptions['kafka'] = {}): Promise<Server> {
  return startServer('kafka', { via: 'native', quiet: true, ...options });
}
