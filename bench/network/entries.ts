import type { Entry, ServerKind } from './bench.ts';

/** Who takes part, by server; the first is the twin: the bare driver with the guarantees of the bus. */
export const ENTRIES: Readonly<Record<ServerKind, readonly Entry[]>> = {
  redis: [
    { name: 'ioredis, bare', module: './contestants/redis-twin.ts' },
    { name: '**Ambus**', module: './contestants/ambus-redis.ts' },
    { name: 'BullMQ', module: './peers/bullmq.mjs' },
    { name: 'NestJS microservices', module: './peers/nestjs-redis.mjs' },
    { name: 'Moleculer, Moleculer Channels', module: './peers/moleculer-redis.mjs' },
    { name: '@boringnode/bus', module: './peers/boringnode-redis.mjs' },
  ],
  nats: [
    { name: 'nats.js, bare', module: './contestants/nats-twin.ts' },
    { name: '**Ambus**', module: './contestants/ambus-nats.ts' },
    { name: 'NestJS microservices', module: './peers/nestjs-nats.mjs' },
    { name: 'Moleculer', module: './peers/moleculer-nats.mjs' },
  ],
  kafka: [
    { name: 'kafkajs, bare', module: './contestants/kafka-twin.ts' },
    { name: '**Ambus**', module: './contestants/ambus-kafka.ts' },
  ],
};
