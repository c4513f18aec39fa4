import { type BusError, ConfigError, ConnectionError } from '@ambus/core';
import {
  connect,
  DebugEvents,
  ErrorCode,
  Events,
  type Msg,
  type NatsConnection,
  type NatsError,
  type Status,
} from 'nats';
import { type Settings, withoutSecrets } from '../options.ts';
import { bufferOf } from '../wire/headers.ts';
import type { WireMessage } from '../wire/record.ts';
import { connectionOptions } from './connection-options.ts';

/**
 * With the options of the connection and its credentials the only file that knows the driver, `nats` 2.x. What is reached for beyond its types is named here
 * and nowhere else.
 */

/** A message as it arrived. Its parts are cut out when somebody asks. */
export class Incoming implements WireMessage {
  readonly subject: string;
  readonly reply: string;
  readonly native: Msg;
  readonly #data: Uint8Array;
  /** Bytes of the header block; not above 0 without one. */
  readonly #headLength: number;
  #body: Uint8Array | undefined;

  constructor(message: Msg) {
    const { _msg, _rdata } = message as unknown as MessageInside;
    this.subject = subjectOf(_msg.subject);
    this.reply = _msg.reply === undefined ? '' : ascii(_msg.reply);
    this.native = message;
    this.#data = _rdata;
    this.#headLength = _msg.hdr;
  }

  /** The header block. */
  get head(): Uint8Array | undefined {
    return this.#headLength > 0 ? this.#data.subarray(0, this.#headLength) : undefined;
  }

  get headText(): string | undefined {
    return this.#headLength > 0 ? bufferOf(this.#data).toString('latin1', 0, this.#headLength) : undefined;
  }

  get body(): Uint8Array {
    this.#body ??= this.#headLength > 0 ? this.#data.subarray(this.#headLength) : this.#data;
    return this.#body;
  }
}

export interface DriverSubscription {
  /** No message comes any more. */
  unsubscribe(): void;
  /** Resolves when all that the server sent before it heard of the end has come. */
  drain(): Promise<void>;
}

export interface DriverEvents {
  down(): void;
  up(): void;
  /** The account may not publish to this. Comes before the answer to a ping that was sent after it. */
  denied(subject: string): void;
  /** The connection was given up, or closed by somebody else. */
  ended(): void;
}

/** Inside of the driver's message: the block of headers as it came. */
interface MessageInside {
  readonly _msg: { readonly hdr: number; readonly subject: Uint8Array; readonly reply?: Uint8Array };
  readonly _rdata: Uint8Array;
}

/** Inside of the driver's connection. */
interface ConnectionInside {
  readonly protocol: {
    readonly connected: boolean;
    /** Queues bytes of the protocol as they are; what is queued in one tick is written at once. */
    sendCommand(bytes: Uint8Array): void;
    /** Told of each status the moment that it is known; `status()` is some turns of the event loop later. */
    readonly listeners: { push(status: Status): void; stop(): void }[];
  };
}

/** Milliseconds that a goodbye may take. */
const GOODBYE = 500;

export class Driver {
  readonly client: NatsConnection;
  readonly #inside: ConnectionInside['protocol'];
  readonly #isOwn: boolean;
  /** What is open on a connection that is not ours to close. */
  readonly #subscriptions = new Set<DriverSubscription>();
  #unwatch: (() => void) | undefined;

  private constructor(client: NatsConnection, isOwn: boolean) {
    this.client = client;
    this.#inside = (client as unknown as ConnectionInside).protocol;
    this.#isOwn = isOwn;
  }

  /** @throws {ConnectionError} when no server can be reached, or it refuses the credentials */
  static async connect(settings: Settings, name: string, timeout: number): Promise<Driver> {
    if (settings.client !== undefined) return new Driver(settings.client, false);
    try {
      return new Driver(await connect(connectionOptions(settings, name, timeout)), true);
    } catch (error) {
      throw connectionError(error, settings);
    }
  }

  get isUp(): boolean {
    return this.#inside.connected && !this.client.isClosed();
  }

  get maxPayload(): number | undefined {
    return this.client.info?.max_payload;
  }

  get version(): string | undefined {
    return this.client.info?.version;
  }

  get isClustered(): boolean {
    return (this.client.info as { cluster?: string } | undefined)?.cluster !== undefined;
  }

  /** Whether this server, or another of its cluster, could have JetStream. */
  get mayHaveJetStream(): boolean {
    return this.isClustered || this.client.info?.jetstream === true;
  }

  watch(events: DriverEvents): void {
    const statuses = this.client.status() as AsyncIterable<Status> & { stop(): void };
    void (async () => {
      for await (const status of statuses) {
        const { type } = status as { type: string };
        if (type === Events.Disconnect) events.down();
        else if (type === Events.Reconnect) events.up();
        // A server that is about to go says so: another one is asked before it does.
        else if (type === Events.LDM) this.client.reconnect().catch(() => {});
        else if (type === DebugEvents.StaleConnection) events.down();
      }
    })();
    const { listeners } = this.#inside;
    const listener = {
      push({ type, permissionContext: context }: Status): void {
        if (type === Events.Error && context?.operation === 'publish') events.denied(context.subject);
      },
      stop(): void {},
    };
    listeners.push(listener);
    this.#unwatch = () => {
      this.#unwatch = undefined;
      statuses.stop();
      listeners.splice(listeners.indexOf(listener), 1);
    };
    void this.client.closed().then(() => {
      if (this.#unwatch !== undefined) events.ended();
    });
  }

  /** @param refused - the account may not: no message will come */
  subscribe(
    subject: string,
    queue: string | undefined,
    take: (message: Incoming) => void,
    refused: () => void,
  ): DriverSubscription {
    const callback = (error: NatsError | null, message: Msg): void => {
      if (error === null) take(new Incoming(message));
      else if (error.isPermissionError()) refused();
    };
    const made = this.client.subscribe(subject, queue === undefined ? { callback } : { queue, callback });
    if (this.#isOwn) return made;
    const all = this.#subscriptions;
    const counted: DriverSubscription = {
      unsubscribe() {
        all.delete(counted);
        made.unsubscribe();
      },
      drain() {
        all.delete(counted);
        return made.drain();
      },
    };
    all.add(counted);
    return counted;
  }

  /** Sends finished bytes of the protocol. Only while it is up: the driver would send them later. */
  write(bytes: Uint8Array): void {
    this.#inside.sendCommand(bytes);
  }

  /** Resolves when the server has seen all that was sent before. */
  async flush(): Promise<void> {
    try {
      await this.client.flush();
    } catch (error) {
      throw new ConnectionError('the connection broke', { broker: 'nats', cause: error });
    }
  }

  async close(): Promise<void> {
    this.#unwatch?.();
    if (!this.#isOwn) {
      if (!this.client.isClosed()) for (const one of [...this.#subscriptions]) one.unsubscribe();
      return;
    }
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, GOODBYE);
    });
    await Promise.race([this.client.close().catch(() => {}), late]);
    clearTimeout(timer);
  }
}

/** Subjects are ASCII to us; the driver's decoder for any text costs several times as much. */
function ascii(bytes: Uint8Array): string {
  return bufferOf(bytes).toString('latin1');
}

let lastSubject = '';

/** Most messages have the subject of the one before: what is looked up by it is found quicker by the same string. */
function subjectOf(bytes: Uint8Array): string {
  const subject = ascii(bytes);
  if (subject !== lastSubject) lastSubject = subject;
  return lastSubject;
}

/** Codes of refusals that trying again does not change. */
const FINAL: ReadonlySet<string> = new Set([
  ErrorCode.AuthorizationViolation,
  ErrorCode.AuthenticationExpired,
  ErrorCode.AccountExpired,
  ErrorCode.BadAuthentication,
  ErrorCode.BadCreds,
]);

function connectionError(error: unknown, settings: Settings): BusError {
  if (ConfigError.is(error)) return error;
  const { code, message = String(error) } = (error ?? {}) as { code?: string; message?: string };
  const inner = (error as NatsError | undefined)?.chainedError as
    | { code?: string; message?: string }
    | undefined;
  const isTrust = /certificate|self.signed|CERT_|UNABLE_TO_VERIFY|altname/i.test(
    `${code} ${message} ${inner?.code} ${inner?.message}`,
  );
  const text = inner?.message ?? message;
  const where = settings.addresses.map(withoutSecrets).join(', ');
  return new ConnectionError(`nats: cannot connect to ${where}: ${text}`, {
    broker: 'nats',
    cause: error,
    retryable: !(isTrust || (code !== undefined && FINAL.has(code))),
  });
}
