import type { Redis } from 'ioredis';
import { EncodedCommand } from '../driver/command.ts';
import { hangUp } from '../driver/dial.ts';
import { type Arg, encodeCommand } from '../driver/encode.ts';
import type { Session } from '../driver/session.ts';
import { SCRIPTS } from '../scripts/index.ts';
import type { RawEntry } from '../wire/entry.ts';

/** Milliseconds that the server holds a read that finds nothing, and that are added to it before the connection is given up. */
const BLOCK = 5_000;
const SLACK = 4_000;
/** Milliseconds until a read that was not there yet is ended once more. */
const AGAIN = 2;

/**
 * A connection on which one read after the other waits at the server: what is published comes at once, without a bell and
 * a question in between.
 */
export class Reader {
  readonly #session: Session;
  readonly #stream: string;
  readonly #group: string;
  readonly #tag: string;
  #client: Redis | undefined;
  #opening: Promise<Redis> | undefined;
  #id = 0;
  /** Of the server's process: within that no other connection ever gets this id. */
  #run = '';
  #isReading = false;
  #closed = false;

  constructor(session: Session, tag: string, stream: string, group: string) {
    this.#session = session;
    this.#tag = tag;
    this.#stream = stream;
    this.#group = group;
  }

  get isOpen(): boolean {
    return this.#client !== undefined;
  }

  async open(): Promise<void> {
    this.#opening ??= this.#dial().finally(() => {
      this.#opening = undefined;
    });
    await this.#opening;
  }

  async #dial(): Promise<Redis> {
    const client = await this.#session.dialReader();
    client.once('end', () => {
      if (this.#client === client) this.#client = undefined;
    });
    const timer = setTimeout(() => hangUp(client), SLACK).unref();
    const [id, run] = await Promise.all([client.client('ID').catch(() => 0), runOf(client)]);
    clearTimeout(timer);
    if (this.#closed || !this.#session.isUp || client.status !== 'ready') {
      hangUp(client);
      throw new Error('Connection is closed.');
    }
    this.#id = id as number;
    this.#run = run;
    this.#client = client;
    return client;
  }

  /**
   * @param ack - arguments of an ack that goes out in the same write
   * @returns the entries, and whether the ack was taken
   */
  read(
    member: string,
    count: number,
    ack: readonly Arg[] | undefined,
  ): { entries: Promise<RawEntry[]>; acked: Promise<unknown> | undefined } {
    const client = this.#client!;
    const { stream } = client as unknown as { stream: { cork(): void; uncork(): void } };
    stream.cork();
    let acked: Promise<unknown> | undefined;
    if (ack !== undefined) {
      const { sha } = SCRIPTS.ackPlain;
      const command = new EncodedCommand('evalsha', [], encodeCommand(['evalsha', sha, 1, this.#tag], ack));
      client.sendCommand(command);
      acked = command.promise;
    }
    const args = [
      'XREADGROUP',
      'GROUP',
      this.#group,
      member,
      'COUNT',
      count,
      'BLOCK',
      BLOCK,
      'STREAMS',
      this.#stream,
      '>',
    ];
    const command = new EncodedCommand('evalsha', [], encodeCommand(args));
    client.sendCommand(command);
    stream.uncork();
    return { entries: this.#bounded(client, command.promise), acked };
  }

  async #bounded(client: Redis, reply: Promise<unknown>): Promise<RawEntry[]> {
    const timer = setTimeout(() => hangUp(client), BLOCK + SLACK);
    timer.unref();
    this.#isReading = true;
    try {
      const streams = (await reply) as [unknown, RawEntry[]][] | null;
      return streams?.[0]?.[1] ?? [];
    } finally {
      this.#isReading = false;
      clearTimeout(timer);
    }
  }

  /** Ends a read that waits. Where the account may not do that, its connection goes: what was on its way is given back. */
  unblock(): void {
    const { client } = this.#session;
    if (client === undefined || !this.#session.isUp || this.#id === 0) {
      this.drop();
      return;
    }
    (client as Redis).client('UNBLOCK', this.#id).then(
      (ended) => {
        // It came before the read that it is to end: they go over different connections.
        if (ended === 0 && this.#isReading) setTimeout(() => this.unblock(), AGAIN).unref();
      },
      () => this.drop(),
    );
  }

  /** Over a new connection: a read that the one before left at the server would bring what nobody hears of. */
  async endLost(): Promise<void> {
    const [client, id, run] = [this.#session.client as Redis | undefined, this.#id, this.#run];
    if (client === undefined || this.isOpen || id === 0) return;
    this.#id = 0;
    if (run !== '' && run === (await runOf(client))) await client.client('UNBLOCK', id).catch(() => {});
  }

  /** Gives the connection up; the next `open` makes another. */
  drop(): void {
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) hangUp(client);
  }

  close(): void {
    this.#closed = true;
    this.drop();
  }
}

/** Which process of a server it is; nothing where the account may not know. */
async function runOf(client: Redis): Promise<string> {
  const info = await client.info('server').catch(() => '');
  return /^run_id:(\w+)/m.exec(info)?.[1] ?? '';
}
