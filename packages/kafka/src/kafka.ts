import { Kafka, type KafkaBroker } from './broker.ts';
import { type KafkaOptions, settings } from './options.ts';

/**
 * A broker on Apache Kafka, 3.0 or later.
 *
 * @throws {ConfigError} naming the option or variable, its value and what is allowed
 */
export function kafka(options: KafkaOptions = {}): KafkaBroker {
  return new Kafka(settings(options));
}
