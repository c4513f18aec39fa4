import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { BrokerName } from '@ambus/core';

export const USAGE = `A small fleet of agents indexes a directory over a message bus.

  npm run demo -- [directory] [options]

  directory          what is indexed; default: this repository
  --broker <name>    memory, redis, nats, kafka, sqs or servicebus; default: AMB_BROKER, else memory
  --url <url>        where the broker is; default: its own variable (AMB_REDIS_URL …), else a server is started for the demo
  --search <words>   what is searched for at the end; default: "message bus"
  --help             this`;

export interface Options {
  readonly directory: string;
  readonly broker: BrokerName | undefined;
  readonly url: string | undefined;
  readonly search: string;
}

/** What was typed makes no sense. */
export class UsageError extends Error {}

/** @returns undefined when help was asked for */
export function readOptions(args: readonly string[]): Options | undefined {
  const { values, positionals } = parse(args);
  if (values.help) return undefined;
  const [given, ...more] = positionals;
  if (more.length > 0) throw new UsageError(`one directory at a time, not also "${more[0]}"`);
  const { broker, url, search = 'message bus' } = values;
  // npm runs scripts in the package's own directory; this is the one it was called in.
  const here = process.env.INIT_CWD ?? process.cwd();
  const directory = given === undefined ? resolve(import.meta.dirname, '../..') : resolve(here, given);
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Error(`there is no directory ${directory}`);
  }
  // The bus checks the broker's name itself.
  return { directory, broker: broker as BrokerName | undefined, url, search };
}

function parse(args: readonly string[]): {
  values: { broker?: string; url?: string; search?: string; help?: boolean };
  positionals: string[];
} {
  const text = { type: 'string' } as const;
  const options = { broker: text, url: text, search: text, help: { type: 'boolean', short: 'h' } } as const;
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ')[0]);
  }
}
