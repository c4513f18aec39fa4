import type { Redis } from 'ioredis';
import type { Session } from '../driver/session.ts';
import { SCRIPTS } from '../scripts/index.ts';
import { Arrivals } from './arrivals.ts';

/** Gets what comes on a channel; with a glob, on any that it matches. */
export type Listener = (message: Buffer, channel: string) => void;

/** The channels that a bus listens to. What it listens to is taken up again on every new connection. */
export class Ears {
  readonly #session: Session;
  readonly #channels = new Map<string, Set<Listener>>();
  readonly #globs = new Map<string, Set<Listener>>();
  readonly #arrivals = new Arrivals((tag, key) => this.#fetch(tag, key));
  readonly #missed: () => void;

  /** @param missed - a message was gone before it could be fetched */
  constructor(session: Session, missed: () => void) {
    this.#session = session;
    this.#missed = missed;
  }

  /** Resolves when everything that is published from now on is heard. */
  async listen(channel: string, listener: Listener): Promise<void> {
    await this.#listen('subscribe', this.#channels, channel, listener);
  }

  async listenGlob(glob: string, listener: Listener): Promise<void> {
    await this.#listen('psubscribe', this.#globs, glob, listener);
  }

  async #listen(
    what: 'subscribe' | 'psubscribe',
    into: Map<string, Set<Listener>>,
    name: string,
    listener: Listener,
  ): Promise<void> {
    add(into, name, listener);
    try {
      await this.#call(what, name);
    } catch (error) {
      // What was refused now would be refused on every new connection, and that with it.
      remove(into, name, listener);
      throw error;
    }
  }

  async unlisten(channel: string, listener: Listener): Promise<void> {
    if (remove(this.#channels, channel, listener)) await this.#call('unsubscribe', channel).catch(() => {});
  }

  async unlistenGlob(glob: string, listener: Listener): Promise<void> {
    if (remove(this.#globs, glob, listener)) await this.#call('punsubscribe', glob).catch(() => {});
  }

  /** Without a connection there is nothing to do: `restore` does it. */
  async #call(
    what: 'subscribe' | 'psubscribe' | 'unsubscribe' | 'punsubscribe',
    name: string,
  ): Promise<void> {
    const { ears } = this.#session;
    try {
      await ears?.[what](name);
    } catch (error) {
      if (this.#session.ears === ears) throw error;
    }
  }

  async restore(): Promise<void> {
    const ears = this.#session.ears!;
    ears.on('messageBuffer', (channel: Buffer, message: Buffer) => {
      const name = channel.toString();
      this.#arrivals.take(name, message, (whole) => {
        for (const listener of this.#channels.get(name) ?? []) listener(whole, name);
      });
    });
    ears.on('pmessageBuffer', (pattern: Buffer | string, channel: Buffer, message: Buffer) => {
      const [glob, name] = [pattern.toString(), channel.toString()];
      this.#arrivals.take(`${glob} ${name}`, message, (whole) => {
        for (const listener of this.#globs.get(glob) ?? []) listener(whole, name);
      });
    });
    await Promise.all([
      subscribe(ears, [...this.#channels.keys()]),
      subscribeGlobs(ears, [...this.#globs.keys()]),
    ]);
  }

  async #fetch(tag: string, key: string): Promise<Buffer | undefined> {
    try {
      const found = (await this.#session.run(SCRIPTS.fetch, tag, [key])) as Buffer | null;
      if (found !== null) return found;
      this.#missed();
    } catch {
      // Lost with the connection, as all that is under way.
    }
    return undefined;
  }
}

async function subscribe(ears: Redis, channels: readonly string[]): Promise<void> {
  if (channels.length > 0) await ears.subscribe(...channels);
}

async function subscribeGlobs(ears: Redis, globs: readonly string[]): Promise<void> {
  if (globs.length > 0) await ears.psubscribe(...globs);
}

function add(into: Map<string, Set<Listener>>, name: string, listener: Listener): void {
  const found = into.get(name);
  if (found === undefined) into.set(name, new Set([listener]));
  else found.add(listener);
}

/** True when nobody is left. */
function remove(from: Map<string, Set<Listener>>, name: string, listener: Listener): boolean {
  const found = from.get(name);
  if (found === undefined || !found.delete(listener) || found.size > 0) return false;
  from.delete(name);
  return true;
}
