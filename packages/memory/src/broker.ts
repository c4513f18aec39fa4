import {
  type Admin,
  type Broker,
  type BrokerHost,
  type BrokerSubscription,
  type BusRecord,
  type Capabilities,
  type Clock,
  ClosedError,
  ConfigError,
  type Inbox,
  type InboxSink,
  type Sink,
  type Source,
} from '@ambus/core';
import { capabilities } from './capabilities.ts';
import { Member } from './group/member.ts';
import type { MemoryHub } from './hub/hub.ts';
import { join } from './hub/membership.ts';
import { MemoryAdmin } from './link/admin.ts';
import { Connection } from './link/connection.ts';
import { MemorySubscription } from './link/subscription.ts';
import type { Settings } from './options.ts';

/** A broker whose server is a hub in this process. */
export interface MemoryBroker extends Broker {
  /** What the bus is connected to: for tests, to look inside and to make trouble. */
  readonly hub: MemoryHub;
  /** Names it to `hub.crash` and `hub.disconnect`; undefined until it is connected. */
  readonly busId: string | undefined;
  readonly clock: Clock;
  readonly admin: Admin;
  cancel(topic: string, id: string, token: string | undefined): Promise<boolean>;
  /** The hub. */
  native(): MemoryHub;
}

export class Memory implements MemoryBroker {
  readonly name = 'memory';
  readonly capabilities: Capabilities;
  readonly hub: MemoryHub;
  readonly clock: Clock;
  readonly admin: Admin = new MemoryAdmin(() => this.#connected());
  readonly #settings: Settings;
  #connection: Connection | undefined;
  #busId: string | undefined;
  #closed = false;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.hub = settings.hub;
    this.clock = settings.hub.clock;
    this.capabilities = capabilities(settings.maxMessageBytes, settings.lease);
  }

  get busId(): string | undefined {
    return this.#busId;
  }

  async connect(host: BrokerHost): Promise<void> {
    if (this.#closed) throw new ClosedError('the broker is closed', { broker: this.name });
    if (this.#connection !== undefined) {
      throw new ConfigError(
        'memory: this broker is connected to a bus already; give each bus its own memory()',
        {
          broker: this.name,
        },
      );
    }
    this.#connection = new Connection(this.hub.server, host, this.#settings);
    this.#busId = host.busId;
  }

  publish(records: readonly BusRecord[], deadline: number): Promise<void> {
    // Not `async`: on the way that every message takes one promise less is worth the line.
    if (this.#connection === undefined) return Promise.reject(this.#unconnected());
    return this.#connection.publish(records, deadline);
  }

  async subscribe(source: Source, sink: Sink): Promise<BrokerSubscription> {
    const connection = this.#connected();
    return connection.request(() => {
      const member = new Member(source, sink, connection);
      join(connection.space, member, source.from, connection.origin);
      connection.members.add(member);
      return new MemorySubscription(connection, member);
    });
  }

  async openInbox(sink: InboxSink): Promise<Inbox> {
    const connection = this.#connected();
    return connection.request(() => {
      const { inboxes } = connection.server;
      const inbox = inboxes.open(connection.busId, sink, connection);
      connection.inboxes.add(inbox);
      return {
        address: inbox.address,
        async close() {
          connection.inboxes.delete(inbox);
          inboxes.close(inbox);
        },
      };
    });
  }

  async cancel(topic: string, id: string): Promise<boolean> {
    const connection = this.#connected();
    return connection.request(() => connection.space.cancel(topic, id));
  }

  native(): MemoryHub {
    return this.hub;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#connection?.close();
  }

  #connected(): Connection {
    if (this.#connection === undefined) throw this.#unconnected();
    return this.#connection;
  }

  #unconnected(): ClosedError | ConfigError {
    return this.#closed
      ? new ClosedError('the broker is closed', { broker: this.name })
      : new ConfigError('memory: the broker is not connected', { broker: this.name });
  }
}
