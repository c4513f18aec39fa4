// Starts a real server and keeps it until Ctrl-C, to look into a broker by hand:
//
//   pnpm run server redis
import { type ServerOptions, startServer } from '@ambus/testing';

const VARIABLES: Readonly<Record<string, string>> = {
  redis: 'AMB_REDIS_URL',
  nats: 'AMB_NATS_URL',
  kafka: 'AMB_KAFKA_BROKERS',
  'schema-registry': 'AMB_SCHEMA_REGISTRY_URL',
};

const [kind = ''] = process.argv.slice(2);
if (VARIABLES[kind] === undefined) {
  console.error(`usage: pnpm run server ${Object.keys(VARIABLES).join(' | ')}`);
  process.exit(2);
}
const server = await startServer(kind as keyof ServerOptions);
console.log(`export ${VARIABLES[kind]}=${server.url}`);
const stay = setInterval(() => {}, 2 ** 30);
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    clearInterval(stay);
    void server.close();
  });
}
