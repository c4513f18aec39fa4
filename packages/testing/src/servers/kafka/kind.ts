import { ConfigError } from '@ambus/core';
import type { Kind } from '../kind.ts';
import { withoutLogin } from '../server-url.ts';
import { nativeKafka } from './native.ts';
import { checkKafkaOptions, type KafkaServerOptions } from './options.ts';
import { planKafka, wipeKafka } from './plan.ts';
import { kafkaMetadata } from './wire.ts';

/** What the image's own scripts do, with our properties. */
const IN_IMAGE = `[ -e data/meta.properties ] || /opt/kafka/bin/kafka-storage.sh format $FORMAT -c server.properties &&
exec /opt/kafka/bin/kafka-server-start.sh server.properties "$@"`;

const FIRST_BROKER = /^(?:\[([\da-f:.]+)\]|([^\s,:/@[\]]+)):(\d+)(?=,|$)/i;

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
    const [, ipv6, name, digits] = FIRST_BROKER.exec(brokers) ?? [];
    const host = ipv6 ?? name;
    const port = Number(digits);
    if (host === undefined || port > 65_535) {
      throw new ConfigError(
        `environment variable AMB_KAFKA_BROKERS must be host:port, or several with commas, not ${withoutLogin(brokers)}`,
      );
    }
    return {
      url: brokers,
      host,
      port,
      async version() {
        await kafkaMetadata(host, port);
        return 'Kafka';
      },
      wipe: () => wipeKafka(host, port),
    };
  },
};
