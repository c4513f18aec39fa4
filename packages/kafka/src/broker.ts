import {
  type Admin,
  type Broker,
  type BrokerHost,
  type BrokerSubscription,
  type BusRecord,
  type Capabilities,
  ClosedError,
  ConfigError,
  type Inbox,
  type InboxSink,
  type Sink,
  type Source,
} from '@ambus/core';
import type { Kafka as KafkaClient } from 'kafkajs';
import { capabilities } from './capabilities.ts';
import { KafkaAdmin } from './care/admin.ts';
import { cancel } from './care/remove.ts';
import { nativeClient } from './driver/kafkajs.ts';
import { LiveSubscription } from './feed/live.ts';
import { GroupSubscription } from './group/subscription.ts';
import { Hub } from './hub.ts';
import { openInbox } from './inbox.ts';
import type { Settings } from './options.ts';
import { publish } from './publish/publish.ts';
import { TOPIC_OPTIONS } from './topics/config.ts';

/** A broker on Apache Kafka. */
export interface KafkaBroker extends Broker {
  readonly admin: Admin;
  cancel(topic: string, id: string, token: string | undefined): Promise<boolean>;
  /** A client of kafkajs with the same servers and credentials, not connected to anything yet. */
  native(): KafkaClient;
}

export class Kafka implements KafkaBroker {
  readonly name = 'kafka';
  readonly capabilities: Capabilities;
  readonly topicOptions: readonly string[] = TOPIC_OPTIONS;
  readonly admin: Admin = new KafkaAdmin(() => this.#connected());
  readonly #settings: Settings;
  readonly #subscriptions = new Set<BrokerSubscription>();
  #hub: Hub | undefined;
  #closed = false;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.capabilities = capabilities(settings.maxMessageBytes, settings.sessionTimeout);
  }

  async connect(host: BrokerHost): Promise<void> {
    if (this.#closed) throw new ClosedError('the broker is closed', { broker: this.name });
    if (this.#hub !== undefined) {
      throw new ConfigError(
        'kafka: this broker is connected to a bus already; give each bus its own kafka()',
        {
          broker: this.name,
        },
      );
    }
    const hub = new Hub(this.#settings, host);
    this.#hub = hub;
    try {
      await hub.connect();
    } catch (error) {
      this.#hub = undefined;
      hub.close();
      throw error;
    }
  }

  publish(records: readonly BusRecord[], deadline: number): Promise<void> {
    if (this.#hub === undefined) return Promise.reject(this.#unconnected());
    return publish(this.#hub, records, deadline);
  }

  async subscribe(source: Source, sink: Sink): Promise<BrokerSubscription> {
    const hub = this.#connected();
    const subscription =
      source.group === undefined
        ? new LiveSubscription(hub, source, sink)
        : new GroupSubscription(hub, source, sink);
    // Before it has started: closing must end that, too.
    this.#subscriptions.add(subscription);
    const { close } = subscription;
    let closing: Promise<void> | undefined;
    subscription.close = () => {
      closing ??= close.call(subscription).finally(() => this.#subscriptions.delete(subscription));
      return closing;
    };
    try {
      await subscription.start();
    } catch (error) {
      throw this.#closed ? this.#unconnected() : error;
    }
    return subscription;
  }

  async openInbox(sink: InboxSink): Promise<Inbox> {
    return openInbox(this.#connected(), sink);
  }

  async cancel(topic: string, id: string, token: string | undefined): Promise<boolean> {
    return cancel(this.#connected(), topic, id, token);
  }

  native(): KafkaClient {
    return nativeClient(this.#settings.client('ambus'));
  }

  async close(): Promise<void> {
    this.#closed = true;
    const hub = this.#hub;
    if (hub === undefined) return;
    await Promise.allSettled(Array.from(this.#subscriptions, (subscription) => subscription.close()));
    hub.close();
  }

  #connected(): Hub {
    if (this.#hub === undefined || this.#closed) throw this.#unconnected();
    return this.#hub;
  }

  #unconnected(): ClosedError | ConfigError {
    return this.#closed
      ? new ClosedError('the broker is closed', { broker: this.name })
      : new ConfigError('kafka: the broker is not connected', { broker: this.name });
  }
}
