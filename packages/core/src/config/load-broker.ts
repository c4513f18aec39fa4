import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Broker } from '../broker.ts';
import { ConfigError } from '../errors.ts';

/** Brokers that can be asked for by name; each lives in `@ambus/<name>`, which exports a function of that name. */
export const BROKER_NAMES = ['memory', 'redis', 'nats', 'kafka', 'sqs', 'servicebus'] as const;
/** Name of a broker that `createBus` loads; those of packages that are not published yet included. */
export type BrokerName = (typeof BROKER_NAMES)[number];

/** @throws {ConfigError} saying what to install when the package is not there */
export async function loadBroker(name: BrokerName, url: string | undefined): Promise<Broker> {
  const module = await importPackage(`@ambus/${name}`);
  const factory = module[name];
  if (typeof factory !== 'function') {
    throw new ConfigError(
      `package @ambus/${name} does not export "${name}": is it of another version than @ambus/core?`,
    );
  }
  return (factory as (options?: { url: string }) => Broker)(url === undefined ? undefined : { url });
}

async function importPackage(name: string): Promise<Record<string, unknown>> {
  try {
    return await import(name);
  } catch (error) {
    if (!isMissing(error, name)) throw error;
  }
  // Package managers that keep packages strictly apart hide the application's own from core.
  for (const from of [process.cwd(), process.argv[1] ?? process.cwd()]) {
    let path: string;
    try {
      path = createRequire(join(from, 'index.js')).resolve(name);
    } catch {
      continue;
    }
    return import(pathToFileURL(path).href);
  }
  throw new ConfigError(`broker "${name.slice('@ambus/'.length)}" needs its package: npm install ${name}`, {
    broker: name.slice('@ambus/'.length),
  });
}

/** Whether `name` itself is missing, and not something that it imports. Told by the text: loaders of test runners have no codes. */
function isMissing(error: unknown, name: string): boolean {
  const message = error instanceof Error ? error.message : String(error);
  return (
    message.includes(name) &&
    /cannot find|could not resolve|failed to (?:resolve|load)|not exported/i.test(message)
  );
}
