import { Nats, type NatsBroker } from './broker.ts';
import { type NatsOptions, settings } from './options.ts';

/**
 * A broker on NATS: JetStream for durable topics and their groups, core NATS for ephemeral topics and requests.
 *
 * @throws {ConfigError} naming the option, its value and what is allowed
 */
export function nats(options: NatsOptions = {}): NatsBroker {
  return new Nats(settings(options));
}
