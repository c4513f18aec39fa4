import { readFileSync } from 'node:fs';
import { type BusError, ConfigError, ConnectionError } from '@ambus/core';
import {
  type Authenticator,
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  DebugEvents,
  ErrorCode,
  Events,
  jwtAuthenticator,
  type Msg,
  type NatsConnection,
  type NatsError,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from 'nats';
import { type Changing, parse, type Settings, withoutSecrets } from '../options.ts';
import { bufferOf } from '../wire/headers.ts';
import type { WireMessage } from '../wire/record.ts';

/** The only file that knows the driver, `nats` 2.x. What is reached for beyond its types is named here and nowhere else. */

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
  /** The account may not publish or subscribe to this. */
  denied(subject: string): void;
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
  };
}

/** Milliseconds between tries to connect again: from quick, for a server that restarts, to patient. */
const FIRST_WAIT = 50;
const LONGEST_WAIT = 2_000;

/** Pings without an answer that a connection survives: a machine under load is not a dead one. */
const MAX_PINGS = 3;

/** Milliseconds that a goodbye may take. */
const GOODBYE = 500;

export class Driver {
  readonly client: NatsConnection;
  readonly #inside: ConnectionInside['protocol'];
  readonly #isOwn: boolean;

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
    void (async () => {
      for await (const status of this.client.status()) {
        const { type } = status as { type: string };
        if (type === Events.Disconnect) events.down();
        else if (type === Events.Reconnect) events.up();
        // A server that is about to go says so: another one is asked before it does.
        else if (type === Events.LDM) this.client.reconnect().catch(() => {});
        else if (type === DebugEvents.StaleConnection) events.down();
        else if (status.type === Events.Error && status.permissionContext !== undefined) {
          events.denied(status.permissionContext.subject);
        }
      }
    })();
  }

  subscribe(
    subject: string,
    queue: string | undefined,
    take: (message: Incoming) => void,
  ): DriverSubscription {
    const callback = (error: NatsError | null, message: Msg): void => {
      if (error === null) take(new Incoming(message));
    };
    return this.client.subscribe(subject, queue === undefined ? { callback } : { queue, callback });
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
    if (!this.#isOwn) return;
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

function connectionOptions(settings: Settings, name: string, timeout: number): ConnectionOptions {
  const addresses = settings.addresses.map((address) => parse(address)!);
  const wantsTls = settings.tls !== undefined || addresses.some(({ protocol }) => protocol === 'tls:');
  let tries = 0;
  return {
    servers: addresses.map(({ host }) => host),
    name: settings.name ?? name,
    timeout: Math.min(timeout, 5_000),
    maxReconnectAttempts: -1,
    // Credentials may be changed on the server before they are here.
    ignoreAuthErrorAbort: true,
    reconnectDelayHandler() {
      if (++tries > 1_000) tries = 10;
      const wait = Math.min(FIRST_WAIT * 1.3 ** Math.min(tries, 20), LONGEST_WAIT);
      return wait / 2 + Math.random() * (wait / 2);
    },
    pingInterval: settings.pingInterval,
    maxPingOut: MAX_PINGS,
    noAsyncTraces: true,
    inboxPrefix: settings.inboxPrefix,
    authenticator: authenticator(settings, addresses[0]!),
    ...(wantsTls ? { tls: tlsOptions(settings) } : {}),
  };
}

function tlsOptions({ tls = {} }: Settings): NonNullable<ConnectionOptions['tls']> {
  const { caFile, certFile, keyFile, ...rest } = tls;
  const given = {
    ...rest,
    ca: read(tls.ca, caFile),
    cert: read(tls.cert, certFile),
    key: read(tls.key, keyFile),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function read(text: string | undefined, file: string | undefined): string | undefined {
  if (file === undefined) return text;
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`nats: cannot read ${file}: ${(error as Error).message}`, { broker: 'nats' });
  }
}

const current = <T>(changing: Changing<T>): T =>
  typeof changing === 'function' ? (changing as () => T)() : changing;

/** Credentials are asked for at each connection, so that those that were rotated are taken up. */
function authenticator(settings: Settings, { username, password }: URL): Authenticator {
  const { authenticator: own, user, password: secret, token, nkey, jwt, credentials } = settings;
  const bytes = (text: Changing<string>) => () => new TextEncoder().encode(current(text));
  if (own !== undefined) return own;
  if (credentials !== undefined) return credsAuthenticator(bytes(credentials));
  if (jwt !== undefined && nkey !== undefined) return jwtAuthenticator(() => current(jwt), bytes(nkey)());
  if (nkey !== undefined) return nkeyAuthenticator(bytes(nkey));
  if (token !== undefined) return tokenAuthenticator(() => current(token));
  if (user !== undefined) {
    return usernamePasswordAuthenticator(
      () => current(user),
      () => current(secret ?? ''),
    );
  }
  if (password !== '')
    return usernamePasswordAuthenticator(decodeURIComponent(username), decodeURIComponent(password));
  if (username !== '') return tokenAuthenticator(decodeURIComponent(username));
  return () => undefined;
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
