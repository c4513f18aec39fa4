import type { BrokerName } from '@ambus/core';
import { type ServerOptions, startServer } from '@ambus/testing';

/** Brokers whose server can be brought up for the demo, with the variable that says where an own one is. */
const VARIABLES: Readonly<Partial<Record<BrokerName, string>>> = {
  redis: 'AMB_REDIS_URL',
  nats: 'AMB_NATS_URL',
  kafka: 'AMB_KAFKA_BROKERS',
};

/** Where the bus is to go, and what has to be ended after it. */
export interface Place extends AsyncDisposable {
  readonly url: string | undefined;
}

/**
 * The given place, or one's own from the environment; for a broker that has neither, a server is started that ends with
 * the demo. The first time that downloads it.
 */
export async function placeOf(broker: BrokerName | undefined, url: string | undefined): Promise<Place> {
  const name = broker ?? (process.env.AMB_BROKER as BrokerName | undefined);
  const variable = name && VARIABLES[name];
  if (url !== undefined || variable === undefined || process.env[variable]) {
    return { url, async [Symbol.asyncDispose]() {} };
  }
  const server = await startServer(name as keyof ServerOptions);
  return { url: server.url, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}
