import { randomBytes } from 'node:crypto';
import { ConnectionError } from '@ambus/core';
import type { NodePlan, ServerPlan } from '../kind.ts';
import { freePorts } from '../process/ports.ts';
import { until } from '../process/until.ts';
import { makeCertificates } from '../tls/certificates.ts';
import type { KafkaServerOptions } from './options.ts';
import { type KafkaPorts, kafkaProperties } from './properties.ts';
import { deleteKafkaTopics, kafkaMetadata } from './wire.ts';

/** Milliseconds that brokers get to find each other. */
const PATIENCE = 60_000;

const RELEASES = { '4.3': '4.3.1', '3.9': '3.9.2' } as const;

/** The exact version that is downloaded. */
export const kafkaRelease = ({ version = '4.3' }: KafkaServerOptions): string => RELEASES[version];

export async function planKafka(options: KafkaServerOptions, host: string): Promise<ServerPlan> {
  const { auth, cluster = 1, args = [] } = options;
  const certificates = options.tls ? makeCertificates() : undefined;
  const credentials = auth === undefined ? {} : { user: 'ambus', password: randomBytes(12).toString('hex') };
  const numbers = await freePorts(cluster * 3);
  const ports = Array.from({ length: cluster }, (_, index): KafkaPorts => {
    const [client = 0, internal = 0, controller = 0] = numbers.slice(index * 3);
    return { client, internal, controller };
  });
  const id = clusterId();
  const scram = auth?.startsWith('scram')
    ? ['--add-scram', `${auth.toUpperCase()}=[name=${credentials.user},password=${credentials.password}]`]
    : [];

  const nodes = ports.map(({ client, internal }, index): NodePlan => {
    const url = `127.0.0.1:${client}`;
    return {
      name: `n${index + 1}`,
      url: () => url,
      port: client,
      ports: [client, internal],
      program: 'kafka',
      args,
      env: { FORMAT: ['-t', id, ...scram].join(' ') },
      files: {
        'server.properties': kafkaProperties(index, ports, host, options, credentials),
        ...(certificates === undefined
          ? {}
          : {
              'ca.pem': certificates.client.ca,
              'server.pem': `${certificates.server.key}${certificates.server.cert}${certificates.client.ca}`,
            }),
      },
      ready: () => seesBrokers(internal, 1),
    };
  });
  const { internal } = ports[0] as KafkaPorts;
  return {
    nodes,
    ...(certificates === undefined ? {} : { tls: certificates.client }),
    credentials,
    ...(cluster > 1
      ? {
          async settled() {
            await Promise.all(ports.map((one) => until(() => seesBrokers(one.internal, cluster), PATIENCE)));
          },
        }
      : {}),
    version: async () => `Kafka ${kafkaRelease(options)}`,
    wipe: () => wipeKafka('127.0.0.1', internal),
  };
}

async function seesBrokers(port: number, count: number): Promise<void> {
  const { brokers } = await kafkaMetadata('127.0.0.1', port);
  if (brokers < count) throw new ConnectionError(`the broker sees ${brokers} of ${count}`);
}

/** Deletes all topics of applications, and with them what groups have committed on them. */
export async function wipeKafka(host: string, port: number): Promise<void> {
  await until(async () => {
    const { topics } = await kafkaMetadata(host, port);
    await deleteKafkaTopics(host, port, topics);
    if (topics.length > 0) throw new ConnectionError('topics are left');
  }, PATIENCE);
}

/** A UUID in base64url. Its first letter must not be "-", which the tool that formats takes for an option. */
function clusterId(): string {
  const bytes = randomBytes(16);
  return Buffer.from([bytes[0]! & 0x7f, ...bytes.subarray(1)]).toString('base64url');
}
