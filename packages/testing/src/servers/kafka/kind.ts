import { ConfigError } from '@ambus/core';
import type { Kind } from '../kind.ts';
import { nativeKafka } from './native.ts';
import { checkKafkaOptions, type KafkaServerOptions } from './options.ts';
import { planKafka, wipeKafka } from './plan.ts';
import { kafkaMetadata } from './wire.ts';

/** What the image's own scripts do, with our properties. */
const IN_IMAGE = `[ -e data/meta.properties ] || /opt/kafka/bin/kafka-storage.sh format $FORMAT -c server.properties &&
exec /opt/kafka/bin/kafka-server-start.sh server.properties "$@"`;

export const kafkaKind: Kind<KafkaServerOptions> = {
  name: 'kafka',
  variable: 'AMB_KAFKA_BROKERS',
  check: checkKafkaOptions,
  plan: planKafka,
  native: nativeKafka,
  image: ({ version = '4.3', cluster }) =>
    cluster
      ? undefined
      : {
          name: version === '3.9' ? 'apache/kafka:3.9.2' : 'apache/kafka:4.3.1',
          command: (_program, args) => ['/bin/sh', '-c', IN_IMAGE, 'kafka', ...args],
        },
  attach(brokers) {
    const [, host, port] = /^([^,:]+):(\d+)/.exec(brokers) ?? [];
    if (host === undefined)
      throw new ConfigError('AMB_KAFKA_BROKERS must be host:port, or several with commas');
    return {
      url: brokers,
      host,
      port: Number(port),
      async version() {
        await kafkaMetadata(host, Number(port));
        return 'Kafka';
      },
      wipe: () => wipeKafka(host, Number(port)),
    };
  },
};
