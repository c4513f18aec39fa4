import { randomBytes } from 'node:crypto';
import {
  type Broker,
  type Bus,
  type BusOptions,
  type Capabilities,
  createBus,
  type LogFunction,
  type Message,
} from '@ambus/core';
import type { ConformanceSetup, RawMessage, ServerControl } from './setup.ts';

/** Milliseconds that a condition may take. */
export const PATIENCE = 10_000;

/** Milliseconds between two looks at a condition: short at first, longer where a server is asked for a long time. */
const LOOK = 5;
const LONGEST_LOOK = 50;

/** One entry of a bus's log. */
export interface LogEntry {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: object;
  readonly message: string;
}

/** Prefix of everything that this process's run creates on a server. */
const RUN = `conf-${randomBytes(4).toString('hex')}`;

/** What a case works with. Everything that it opens is closed at its end. */
export class CaseContext {
  /** Of the broker under test. */
  readonly capabilities: Capabilities;
  /** The broker's name. */
  readonly broker: string;
  /** What can be done to the server; empty where the setup has no control over it. */
  readonly server: ServerControl;
  /** What the buses of this case logged. */
  readonly log: LogEntry[] = [];
  /** See `note`. */
  readonly notes: Record<string, number | string> = {};
  readonly #setup: ConformanceSetup;
  readonly #open: { readonly bus: Bus; readonly broker: Broker }[] = [];
  readonly #cleanups: (() => unknown)[] = [];
  readonly #id = randomBytes(5).toString('hex');

  constructor(setup: ConformanceSetup, capabilities: Capabilities) {
    this.#setup = setup;
    this.capabilities = capabilities;
    this.broker = setup.broker;
    this.server = setup.server ?? {};
  }

  /** What the names of this case's buses start with on the server. */
  get prefix(): string {
    return RUN;
  }

  /** A topic or pattern that no other case uses: `t.topic('a.*')` → `c1f0….a.*`. */
  topic(name = 'topic'): string {
    return `c${this.#id}.${name}`;
  }

  /** A group or other name that no other case uses. */
  name(name = 'group'): string {
    return `${name}-${this.#id}`;
  }

  /** A bus on the broker under test. Every call makes one of its own, all on the same server. */
  async bus(options: BusOptions = {}, brokerOptions?: object): Promise<Bus> {
    const { bus } = await this.busWithBroker(options, brokerOptions);
    return bus;
  }

  /** A broker for one bus, for a case that wraps it before it hands it to `bus({ broker })`. */
  async create(overrides?: object): Promise<Broker> {
    return this.#setup.create(overrides);
  }

  /** Options for `create` under which the server holds delays for seconds only, where the setup has them. */
  get shortDelay(): object | undefined {
    return this.#setup.shortDelay;
  }

  /** Options for `create` under which leases are short, where the setup has them. */
  get shortLease(): object | undefined {
    return this.#setup.shortLease;
  }

  /** Writes to a topic of this case's buses as a program that has never heard of the bus. Only with the power `raw`. */
  async rawPublish(
    topic: string,
    body: Uint8Array,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    await this.server.raw!.publish(RUN, topic, { body, headers });
  }

  /** What lies on a topic, without the bus. Only with the power `raw`. */
  async rawRead(topic: string): Promise<readonly RawMessage[]> {
    return this.server.raw!.read(RUN, topic);
  }

  /** Goes into the report with the case's result: counts that are no matter of right or wrong, such as duplicates. */
  note(name: string, value: number | string): void {
    this.notes[name] = value;
  }

  /** As `bus`, with the broker object for `server.crash` and `server.cut`. */
  async busWithBroker(
    options: BusOptions = {},
    brokerOptions?: object,
  ): Promise<{ bus: Bus; broker: Broker }> {
    const made = options.broker ?? (await this.#setup.create(brokerOptions));
    const bus = await createBus({
      prefix: RUN,
      closeTimeout: 5_000,
      logger: this.#logger(),
      ...options,
      broker: made,
    });
    const broker = made as Broker;
    this.#open.push({ bus, broker });
    return { bus, broker };
  }

  #logger(): NonNullable<Exclude<BusOptions['logger'], false>> {
    const at =
      (level: LogEntry['level']): LogFunction =>
      (fields, message) =>
        void this.log.push({ level, fields, message });
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  }

  /** Runs at the end of the case, last first. */
  cleanup(action: () => unknown): void {
    this.#cleanups.push(action);
  }

  /**
   * Waits until `condition` holds (returns something truthy) and returns that. Fails after `timeout` milliseconds.
   *
   * @param what - for the failure: what did not come to pass, or a function that says how far it got
   */
  async until<T>(
    what: string | (() => string),
    condition: () => T | Promise<T>,
    timeout: number = this.#setup.patience ?? PATIENCE,
  ): Promise<NonNullable<T>> {
    const deadline = performance.now() + timeout;
    for (let look = LOOK; ; look = Math.min(look * 1.2, LONGEST_LOOK)) {
      const value = await condition();
      if (value) return value as NonNullable<T>;
      if (performance.now() > deadline) {
        throw new Error(`waited ${timeout} ms in vain until ${typeof what === 'string' ? what : what()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, look));
    }
  }

  /**
   * Shows that nothing more comes: publishes a marker by `sendMarker`, waits until it was seen, and so knows that what was
   * sent before it would have been there. For what cannot be ordered behind a marker there is `quiet`.
   */
  async after(sendMarker: () => Promise<unknown>, seen: () => boolean): Promise<void> {
    await sendMarker();
    await this.until('the marker arrived', seen);
  }

  /** Holds that `condition` stays true for a while: for showing that something does not happen when no marker can tell. */
  async quiet(what: string, condition: () => boolean, duration = 150): Promise<void> {
    const end = performance.now() + duration;
    while (performance.now() < end) {
      if (!condition()) throw new Error(`it did not stay true that ${what}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
  }

  /** A handler that collects what it gets. */
  collector<T = unknown>(): {
    readonly messages: Message<T>[];
    readonly data: T[];
    handle(message: Message<T>): void;
  } {
    const messages: Message<T>[] = [];
    const data: T[] = [];
    return {
      messages,
      data,
      handle: (message) => {
        messages.push(message);
        data.push(message.data);
      },
    };
  }

  /** Closes all that was opened. Called by the runner. */
  async close(): Promise<void> {
    const errors: unknown[] = [];
    for (const action of this.#cleanups.reverse()) {
      try {
        await action();
      } catch (error) {
        errors.push(error);
      }
    }
    const closed = await Promise.allSettled(this.#open.map(({ bus }) => bus.close({ timeout: 1_000 })));
    errors.push(...closed.flatMap((result) => (result.status === 'rejected' ? [result.reason] : [])));
    if (errors.length > 0) throw new AggregateError(errors, 'the case did not clean up');
  }
}
