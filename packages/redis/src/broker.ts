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
  isLiteral,
  type Sink,
  type Source,
} from '@ambus/core';
import { RedisAdmin } from './admin.ts';
import { capabilities } from './capabilities.ts';
import { openInbox } from './channels/inbox.ts';
import { ChannelSubscription } from './channels/subscription.ts';
import { type Connected, connect } from './connected.ts';
import type { Context } from './context.ts';
import type { Client } from './driver/dial.ts';
import { toBusError } from './errors.ts';
import { GroupSubscription } from './group/subscription.ts';
import { LiveSubscription } from './live/subscription.ts';
import type { Settings } from './options.ts';
import { SCRIPTS } from './scripts/index.ts';

/** A broker on Redis or Valkey. */
export interface RedisBroker extends Broker {
  readonly admin: Admin;
  cancel(topic: string, id: string, token: string | undefined): Promise<boolean>;
  /** The client that was given, else the broker's own ioredis client; undefined while there is no connection. */
  native(): Client | undefined;
}

export class RedisBus implements RedisBroker {
  readonly name = 'redis';
  readonly capabilities: Capabilities;
  readonly admin: Admin = new RedisAdmin(() => this.#context());
  readonly #settings: Settings;
  #connected: Connected | undefined;
  #connecting: Promise<void> | undefined;
  #leaving: Promise<void> | undefined;
  #closed = false;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.capabilities = capabilities(settings.maxMessageBytes, settings.lease);
  }

  async connect(host: BrokerHost): Promise<void> {
    if (this.#closed) throw new ClosedError('the broker is closed', { broker: this.name });
    if (this.#connecting !== undefined) {
      throw new ConfigError('redis: this broker has a bus already; give each bus its own redis()', {
        broker: this.name,
      });
    }
    this.#connecting = this.#connect(host).finally(() => {
      if (this.#connected === undefined) this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #connect(host: BrokerHost): Promise<void> {
    const connected = await connect(host, this.#settings);
    if (this.#closed) {
      connected.close();
      throw new ClosedError('the broker is closed', { broker: this.name });
    }
    this.#connected = connected;
  }

  publish(records: readonly BusRecord[], deadline: number): Promise<void> {
    if (this.#connected === undefined) return Promise.reject(this.#unconnected());
    return this.#connected.publisher.publish(records, deadline);
  }

  async subscribe(source: Source, sink: Sink): Promise<BrokerSubscription> {
    const connected = this.#theConnected();
    const { context } = connected;
    const { pattern, group, channel } = source;
    try {
      if (channel !== 'durable') {
        const subscription = await opened(new ChannelSubscription(context, source, sink));
        connected.listeners.add(subscription);
        return leaving(subscription, () => connected.listeners.delete(subscription));
      }
      if (group === undefined) return await opened(new LiveSubscription(context, source, sink));
      const reads =
        isLiteral(pattern) && !context.session.isCluster && connected.readers < this.#settings.maxReaders;
      if (!reads) return await opened(new GroupSubscription(context, source, sink, false));
      connected.readers++;
      const subscription = new GroupSubscription(context, source, sink, true);
      return await opened(leaving(subscription, () => connected.readers--));
    } catch (error) {
      throw toBusError(error, { topic: pattern });
    }
  }

  async openInbox(sink: InboxSink): Promise<Inbox> {
    try {
      return await openInbox(this.#context(), sink);
    } catch (error) {
      throw toBusError(error);
    }
  }

  async cancel(topic: string, id: string): Promise<boolean> {
    const { session, names } = this.#context();
    try {
      return Number(await session.insist(SCRIPTS.cancel, names.tagOf(topic), [names.root, topic, id])) > 0;
    } catch (error) {
      throw toBusError(error, { topic });
    }
  }

  native(): Client | undefined {
    return this.#settings.target.client ?? this.#connected?.context.session.client;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#leaving ??= this.#connected?.leave();
    await this.#leaving;
  }

  #context(): Context {
    return this.#theConnected().context;
  }

  #theConnected(): Connected {
    if (this.#connected === undefined) throw this.#unconnected();
    return this.#connected;
  }

  #unconnected(): ClosedError | ConfigError {
    return this.#closed
      ? new ClosedError('the broker is closed', { broker: this.name })
      : new ConfigError('redis: the broker is not connected', { broker: this.name });
  }
}

interface Opening extends BrokerSubscription {
  open(): Promise<void>;
}

async function opened<T extends Opening>(subscription: T): Promise<T> {
  try {
    await subscription.open();
    return subscription;
  } catch (error) {
    await subscription.close().catch(() => {});
    throw error;
  }
}

/** Tells when it is closed. */
function leaving<T extends BrokerSubscription>(subscription: T, left: () => void): T {
  const { close } = subscription;
  let isLeft = false;
  subscription.close = async () => {
    if (!isLeft) left();
    isLeft = true;
    await close.call(subscription);
  };
  return subscription;
}
