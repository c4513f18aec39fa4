import {
  type BrokerSubscription,
  type Channel,
  type Delivery,
  isLiteral,
  rememberingMatcher,
  type Sink,
  type Source,
  UnsupportedError,
} from '@ambus/core';
import type { Context } from '../context.ts';
import { LISTENER_LEASE } from '../keeper.ts';
import { globOf } from '../keys.ts';
import { SCRIPTS } from '../scripts/index.ts';
import { decodeFrame } from '../wire/frame.ts';
import type { Incoming } from '../wire/incoming.ts';

const NONE: readonly Delivery[] = Object.freeze([]);

/** Messages that wait for a slow handler. Nobody keeps them for it, and memory is bounded: what is beyond is dropped. */
const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 256 * 1024 * 1024;

/** Of ephemeral messages, or of requests: nothing of it is stored, so there is nothing to settle. */
export class ChannelSubscription implements BrokerSubscription {
  readonly #context: Context;
  readonly #source: Source;
  readonly #sink: Sink;
  readonly #member: string;
  readonly #matches: (topic: string) => boolean;
  #waiting: Incoming[] = [];
  #waitingBytes = 0;
  /** With core. */
  #out = 0;
  #isScheduled = false;
  #isPaused = false;
  #closed = false;
  #hasWarned = false;

  constructor(context: Context, source: Source, sink: Sink) {
    this.#context = context;
    this.#source = source;
    this.#sink = sink;
    this.#member = context.nextMember();
    this.#matches = rememberingMatcher(source.pattern);
  }

  /** Whether one member is picked for each message, so that the server has to know them all. */
  get #isPicked(): boolean {
    return this.#source.group !== undefined || this.#source.channel === 'request';
  }

  /** Shards in which it stands in the list of listeners. */
  get tags(): readonly string[] {
    const { names } = this.#context;
    if (!this.#isPicked || this.#isPaused) return [];
    return isLiteral(this.#source.pattern) ? [names.tagOf(this.#source.pattern)] : names.tags;
  }

  /** Field and member in the list of listeners. An ungrouped responder is a group of its own. */
  registration(): readonly [field: string, member: string] {
    const { channel, group, pattern } = this.#source;
    return [`${channel === 'request' ? 'q' : 'e'}|${group ?? this.#member}|${pattern}`, this.#member];
  }

  async open(): Promise<void> {
    const { session } = this.#context;
    await session.ready();
    await this.#listen(true);
    await this.#register();
  }

  async #register(): Promise<void> {
    const { session, names } = this.#context;
    for (const tag of this.tags) {
      await session.run(SCRIPTS.listen, tag, [names.root, LISTENER_LEASE, ...this.registration()]);
    }
  }

  async #unregister(tags: readonly string[]): Promise<void> {
    const { session, names } = this.#context;
    if (!session.isUp) return;
    for (const tag of tags)
      await session.run(SCRIPTS.unlisten, tag, [names.root, ...this.registration()]).catch(() => {});
  }

  async #listen(on: boolean): Promise<void> {
    const { ears, names } = this.#context;
    const { pattern } = this.#source;
    if (this.#isPicked) {
      const channel = `${names.root}m:${this.#member}`;
      await (on ? ears.listen(channel, this.#heard) : ears.unlisten(channel, this.#heard));
    } else if (isLiteral(pattern)) {
      const channel = `${names.root}e:${pattern}`;
      await (on ? ears.listen(channel, this.#heard) : ears.unlisten(channel, this.#heard));
    } else {
      const glob = `${names.root}e:${globOf(pattern)}`;
      await (on ? ears.listenGlob(glob, this.#heard) : ears.unlistenGlob(glob, this.#heard));
    }
  }

  readonly #heard = (message: Buffer, channel: string): void => {
    const { root } = this.#context.names;
    const topic = this.#isPicked ? undefined : channel.slice(root.length + 2);
    if (topic !== undefined && !this.#matches(topic)) return;
    if (this.#waiting.length >= MAX_WAITING || this.#waitingBytes >= MAX_WAITING_BYTES) {
      this.#warn();
      return;
    }
    const incoming = decodeFrame(message, this.#source.channel as Channel, channel, topic);
    this.#waiting.push(incoming);
    this.#waitingBytes += incoming.body.byteLength;
    this.#schedule();
  };

  #warn(): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    const { pattern, channel } = this.#source;
    this.#context.host.warning('a subscription is too slow for what comes: messages are dropped', {
      pattern,
      channel,
      waiting: this.#waiting.length,
    });
  }

  /** All that came in one piece is handed over at once. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      const room = this.#source.prefetch - this.#out;
      if (this.#isPaused || this.#closed || room <= 0 || this.#waiting.length === 0) return;
      const batch = this.#waiting.length <= room ? this.#waiting : this.#waiting.slice(0, room);
      this.#waiting = batch === this.#waiting ? [] : this.#waiting.slice(room);
      for (const { body } of batch) this.#waitingBytes -= body.byteLength;
      this.#out += batch.length;
      this.#sink.deliver(batch);
    });
  }

  async ack(deliveries: readonly Delivery[]): Promise<readonly Delivery[]> {
    this.#out -= deliveries.length;
    this.#schedule();
    return NONE;
  }

  nack(): Promise<readonly Delivery[]> {
    return Promise.reject(cannotReturn('nack'));
  }

  release(): Promise<void> {
    return Promise.reject(cannotReturn('release'));
  }

  async pause(): Promise<void> {
    if (this.#isPaused) return;
    const { tags } = this;
    this.#isPaused = true;
    await this.#unregister(tags);
  }

  resume(): void {
    if (!this.#isPaused || this.#closed) return;
    this.#isPaused = false;
    this.#schedule();
    if (this.#context.session.isUp) this.#register().catch(() => {});
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    const { tags } = this;
    this.#closed = true;
    this.#waiting = [];
    this.#waitingBytes = 0;
    await this.#unregister(tags);
    void this.#listen(false).catch(() => {});
  }
}

export function cannotReturn(what: string): UnsupportedError {
  return new UnsupportedError(`${what} needs a group on a durable topic`, { broker: 'redis' });
}
