import type { ServerCredentials } from '../types.ts';
import type { KafkaServerOptions } from './options.ts';

/** Ports of one node. The brokers' own listener needs no credentials, as only this computer reaches it. */
export interface KafkaPorts {
  readonly client: number;
  readonly internal: number;
  readonly controller: number;
}

/** Content of `server.properties` of the node with this index. */
export function kafkaProperties(
  index: number,
  all: readonly KafkaPorts[],
  host: string,
  options: KafkaServerOptions,
  credentials: ServerCredentials,
): string {
  const { client, internal, controller } = all[index] as KafkaPorts;
  const copies = String(Math.min(all.length, 3));
  const enough = all.length > 1 ? '2' : '1';
  const settings: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': String(index + 1),
    'controller.quorum.voters': all.map((one, other) => `${other + 1}@127.0.0.1:${one.controller}`).join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'INTERNAL',
    listeners: `CLIENT://${host}:${client},INTERNAL://${host}:${internal},CONTROLLER://127.0.0.1:${controller}`,
    'advertised.listeners': `CLIENT://127.0.0.1:${client},INTERNAL://127.0.0.1:${internal}`,
    'listener.security.protocol.map': `CLIENT:${protocol(options)},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT`,
    'log.dirs': 'data',
    'auto.create.topics.enable': 'false',
    'default.replication.factor': copies,
    'min.insync.replicas': enough,
    'offsets.topic.num.partitions': '4',
    'offsets.topic.replication.factor': copies,
    'transaction.state.log.num.partitions': '4',
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': enough,
    // Tests start and end consumers all the time; without these each time costs seconds.
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    'group.consumer.heartbeat.interval.ms': '200',
    'group.consumer.min.heartbeat.interval.ms': '200',
    // Topics come and go as well: their files are smaller, and the controller does not collect changes.
    'log.index.size.max.bytes': '65536',
    'controller.quorum.append.linger.ms': '0',
    // A broker killed and started again waits until its former self is given up; a busy computer stalls it for a second.
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '200',
    ...tls(options),
    ...sasl(options, credentials),
    ...options.properties,
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

const protocol = ({ auth, tls: encrypted }: KafkaServerOptions): string =>
  `${auth ? 'SASL_' : ''}${encrypted ? 'SSL' : 'PLAINTEXT'}`;

const tls = ({ tls: encrypted }: KafkaServerOptions): Record<string, string> =>
  encrypted
    ? {
        'ssl.keystore.type': 'PEM',
        'ssl.keystore.location': 'server.pem',
        'ssl.truststore.type': 'PEM',
        'ssl.truststore.location': 'ca.pem',
        'listener.name.client.ssl.client.auth': encrypted === 'mutual' ? 'required' : 'none',
      }
    : {};

function sasl({ auth }: KafkaServerOptions, { user, password }: ServerCredentials): Record<string, string> {
  if (auth === undefined) return {};
  const login = 'org.apache.kafka.common.security';
  const jaas =
    auth === 'plain'
      ? `${login}.plain.PlainLoginModule required user_${user}="${password}";`
      : auth === 'oauthbearer'
        ? `${login}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="${user}";`
        : `${login}.scram.ScramLoginModule required;`;
  return {
    'sasl.enabled.mechanisms': auth.toUpperCase(),
    [`listener.name.client.${auth}.sasl.jaas.config`]: jaas,
  };
}
