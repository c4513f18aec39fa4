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
import type { NatsConnection } from 'nats';
import { NatsAdmin } from './admin.ts';
import { capabilities } from './capabilities.ts';
import { InFlight } from './consume/in-flight.ts';
import { openInbox } from './consume/inbox.ts';
import { openLive } from './consume/live.ts';
import { Member } from './consume/member.ts';
import { Driver } from './link/driver.ts';
import { Link, PATIENCE } from './link/link.ts';
import type { Settings } from './options.ts';
import { Publisher } from './publish/publisher.ts';
import { Space } from './server/space.ts';
import { checkVersion } from './server/version.ts';

/** A broker on NATS. */
export interface NatsBroker extends Broker {
  readonly admin: Admin;
  cancel(topic: string, id: string, token: string | undefined): Promise<boolean>;
  /** The driver's connection; undefined until it is connected. */
  native(): NatsConnection | undefined;
}

/** What there is once it is connected. */
interface Connected {
  readonly link: Link;
  readonly space: Space;
  readonly publisher: Publisher;
}

export class Nats implements NatsBroker {
  readonly name = 'nats';
  readonly capabilities: Capabilities;
  readonly admin: Admin;
  readonly #settings: Settings;
  #connected: Connected | undefined;
  #connecting = false;
  #closed = false;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.capabilities = capabilities(settings.maxPayload, settings.lease);
    this.admin = new NatsAdmin(async () => {
      const { space } = await this.#ready();
      await space.ensureStill('the stream');
      return space;
    });
  }

  async connect(host: BrokerHost): Promise<void> {
    if (this.#closed) throw this.#closedError();
    if (this.#connected !== undefined || this.#connecting) {
      throw new ConfigError('nats: this broker is connected to a bus already; give each bus its own nats()', {
        broker: this.name,
      });
    }
    this.#connecting = true;
    try {
      const driver = await Driver.connect(this.#settings, host.source, host.connectTimeout);
      try {
        if (this.#closed) throw this.#closedError();
        checkVersion(driver.version);
        this.#checkPayload(driver.maxPayload);
      } catch (error) {
        await driver.close();
        throw error;
      }
      const link = new Link(driver, host, this.#settings);
      const space = new Space(link);
      const publisher = new Publisher(space);
      link.listeners.add(publisher);
      this.#connected = { link, space, publisher };
    } finally {
      this.#connecting = false;
    }
  }

  #checkPayload(there: number | undefined): void {
    const { maxPayload } = this.#settings;
    if (there === undefined || there >= maxPayload) return;
    throw new ConfigError(
      `nats option "maxPayload" is ${maxPayload}, and the server takes ${there}: set the option to what it takes`,
      { broker: this.name },
    );
  }

  publish(records: readonly BusRecord[], deadline: number): Promise<void> {
    // Not `async`: on the way that every message takes one promise less is worth the line.
    if (this.#connected === undefined) return Promise.reject(this.#unconnected());
    return this.#connected.publisher.publish(records, deadline);
  }

  async subscribe(source: Source, sink: Sink): Promise<BrokerSubscription> {
    const { link, space } = await this.#ready();
    if (source.channel !== 'durable') {
      const subscription = new InFlight(link, space.names, source, sink);
      await subscription.open();
      return subscription;
    }
    await space.ensureStill(source.pattern);
    space.delays.open(false);
    if (isLiteral(source.pattern)) {
      await space.ensureTopic(source.pattern);
      if (source.from !== 'new') await space.trimmer.look(source.pattern);
    }
    const { group } = source;
    if (group === undefined) return openLive(space, source, sink);
    const member = new Member(space, { ...source, group }, sink);
    try {
      await member.open();
    } catch (error) {
      await member.close();
      throw error;
    }
    return member;
  }

  async openInbox(sink: InboxSink): Promise<Inbox> {
    const { link } = await this.#ready();
    return openInbox(link, sink);
  }

  async cancel(topic: string, id: string): Promise<boolean> {
    const { space } = await this.#ready();
    await space.ensure(topic);
    return (await space.removeDelayed(space.names.schedule('*', topic, id, '*'))) > 0;
  }

  native(): NatsConnection | undefined {
    return this.#connected?.link.driver.client;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const connected = this.#connected;
    if (connected === undefined) return;
    connected.publisher.close();
    await connected.space.close();
    await connected.link.close();
  }

  async #ready(): Promise<Connected> {
    const connected = this.#connected;
    if (connected === undefined) throw this.#unconnected();
    await connected.link.ready(Date.now() + PATIENCE);
    return connected;
  }

  #unconnected(): ClosedError | ConfigError {
    return this.#closed
      ? this.#closedError()
      : new ConfigError('nats: the broker is not connected', { broker: this.name });
  }

  #closedError(): ClosedError {
    return new ClosedError('the broker is closed', { broker: this.name });
  }
}
