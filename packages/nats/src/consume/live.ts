import {
  type BrokerSubscription,
  type BusError,
  ConfigError,
  type Delivery,
  type Sink,
  type Source,
  type StartPosition,
  UnsupportedError,
} from '@ambus/core';
import { nuid } from 'nats';
import type { LinkListener } from '../link/contracts.ts';
import type { Incoming } from '../link/driver.ts';
import { type RecordClass, rankOf } from '../names.ts';
import { infoOf } from '../server/consumers.ts';
import { deleteConsumer } from '../server/delete-consumer.ts';
import { createLive } from '../server/other-consumers.ts';
import type { Space } from '../server/space.ts';
import { placeOf } from '../wire/place.ts';
import { WireRecord } from '../wire/record.ts';
import { GONE, LENT, Loan } from './delivery.ts';
import { Flow, type FlowOwner } from './flow.ts';
import { Turns } from './turns.ts';

/** Milliseconds that the server keeps a consumer whose subscription is silent: a process that was killed leaves nothing longer. */
const SWEPT_AFTER = 60_000;

const NONE: readonly Delivery[] = [];
const RETRY = 300;

/** A private copy of durable topics: a consumer of its own without acks, made anew behind the last record seen if it is lost. */
export class Live implements BrokerSubscription, FlowOwner, LinkListener {
  readonly #space: Space;
  readonly #source: Source;
  readonly #sink: Sink;
  readonly #turns: Turns<Loan>;
  #name = '';
  #flow: Flow | undefined;
  /** Number of the last record that came, and of its delivery. */
  #last = 0;
  #delivery = 0;
  #generation: number;
  #lent = 0;
  #scheduled = false;
  #paused = false;
  #closed = false;
  #recovering = false;

  constructor(space: Space, source: Source, sink: Sink) {
    this.#space = space;
    this.#source = source;
    this.#sink = sink;
    this.#turns = new Turns(source.prefetch);
    this.#generation = space.generation;
  }

  async open(): Promise<void> {
    await this.#create(this.#source.from);
    this.#space.onLost.add(this.#onLost);
    this.#space.link.listeners.add(this);
  }

  async #create(from: StartPosition | number): Promise<void> {
    const { pattern } = this.#source;
    const { generation } = this.#space;
    this.#name = `live-${nuid.next()}`;
    const info = await createLive(this.#space, this.#name, pattern, from, SWEPT_AFTER);
    this.#generation = generation;
    if (this.#closed) {
      await deleteConsumer(this.#space, this.#name);
      return;
    }
    this.#last = Math.max(info.config.opt_start_seq ?? 1, 1) - 1;
    this.#delivery = 0;
    this.#flow = new Flow(this.#space, this.#name, this, false);
    if (this.#paused) return;
    this.#flow.open();
    this.#changed();
  }

  arrived(messages: readonly Incoming[]): void {
    const { names, stream, trimmer } = this.#space;
    const now = Date.now();
    for (const message of messages) {
      const place = placeOf(message.reply);
      // One was lost on the way: it is read again.
      if (place.delivery !== this.#delivery + 1) {
        void this.#recover();
        return;
      }
      this.#delivery = place.delivery;
      this.#last = place.seq;
      const topic = names.topicOf(message.subject);
      const record = new WireRecord(topic, 'durable', message, stream, place.seq, place.time);
      trimmer.consumed(topic);
      const start = names.prefix.length + 3;
      const recordClass = message.subject.slice(start, message.subject.indexOf('.', start)) as RecordClass;
      const rank = recordClass === 'n' ? 2 : rankOf(recordClass) || 0;
      this.#turns.add(new Loan(record, message, this, Math.min(rank, 4), place.seq, 1, 1, now));
    }
    this.#changed();
  }

  missing(): void {
    void this.#recover();
  }

  silent(): void {
    this.#flow?.abandon();
    this.#flow?.open();
    this.missing();
  }

  #changed(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#dispatch);
  }

  readonly #dispatch = (): void => {
    this.#scheduled = false;
    if (this.#paused || this.#closed) return;
    const batch: Loan[] = [];
    const { prefetch } = this.#source;
    while (this.#lent < prefetch) {
      const loan = this.#turns.take(4);
      if (loan === undefined) break;
      loan.state = LENT;
      this.#lent++;
      batch.push(loan);
    }
    if (this.#turns.waiting < READ_AHEAD) this.#flow?.want(prefetch - this.#lent - this.#turns.ready);
    if (batch.length > 0) this.#sink.deliver(batch);
  };

  async ack(deliveries: readonly Delivery[]): Promise<readonly Delivery[]> {
    for (const loan of deliveries as readonly Loan[]) {
      if (loan.state !== LENT) continue;
      loan.state = GONE;
      this.#lent--;
      this.#turns.settled(loan);
    }
    this.#changed();
    return NONE;
  }

  async nack(delivery: Delivery): Promise<readonly Delivery[]> {
    return this.ack([delivery]);
  }

  async release(deliveries: readonly Delivery[]): Promise<void> {
    await this.ack(deliveries);
  }

  async pause(): Promise<void> {
    this.#paused = true;
    await this.#flow?.end();
  }

  resume(): void {
    if (!this.#paused || this.#closed) return;
    this.#paused = false;
    this.#flow?.open();
    this.#changed();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#space.link.listeners.delete(this);
    this.#space.onLost.delete(this.#onLost);
    this.#flow?.abandon();
    if (this.#space.link.canSend) await deleteConsumer(this.#space, this.#name).catch(() => {});
  }

  tick(now: number): void {
    this.#flow?.tick(now);
    // While nothing is asked for the server would take it for abandoned; one more than there is room for waits here.
    if (now - this.#touched < SWEPT_AFTER / 4 || this.#flow?.outstanding !== 0) return;
    this.#touched = now;
    this.#flow.want(1);
  }

  #touched: number = Date.now();

  down(): void {
    this.#flow?.abandon();
  }

  up(): void {
    if (!this.#paused) void this.#recover();
  }

  denied(error: BusError, subject: string): boolean {
    if (this.#flow?.requests !== subject) return false;
    this.ended(error);
    return true;
  }

  ended(error: BusError): void {
    if (this.#closed) return;
    void this.close();
    this.#sink.failed(error);
  }

  readonly #onLost = (): void => void this.#recover();

  /** Goes on behind the last record that came, with a consumer of its own making. */
  async #recover(): Promise<void> {
    if (this.#recovering || this.#closed) return;
    this.#recovering = true;
    this.#flow?.abandon();
    try {
      await this.#space.verify(this.#source.pattern);
      const isLost = this.#generation !== this.#space.generation;
      const old = this.#name;
      await this.#create(isLost ? 1 : this.#last + 1);
      if (!isLost && (await infoOf(this.#space, old)) !== undefined) await deleteConsumer(this.#space, old);
    } catch (error) {
      // What is not allowed any more will not be in a moment.
      if (ConfigError.is(error)) this.ended(error);
      else setTimeout(() => void this.#recover(), RETRY).unref();
      return;
    } finally {
      this.#recovering = false;
    }
    if (this.#generation !== this.#space.generation) void this.#recover();
  }
}

/** Records that may wait behind others of their key. */
const READ_AHEAD = 2_048;

/**
 * @throws {UnsupportedError} on a stream whose messages are for one group each
 * @throws {ConfigError} when the stream is missing and may not be created, or the account may not make the consumer
 */
export async function openLive(space: Space, source: Source, sink: Sink): Promise<Live> {
  if (space.streams.retention === 'workqueue') {
    throw new UnsupportedError(
      `a subscription to "${source.pattern}" without a group needs a copy of each message, and the retention "workqueue" of stream "${space.stream}" allows none: give it a group`,
      { topic: source.pattern, broker: 'nats' },
    );
  }
  const live = new Live(space, source, sink);
  await live.open();
  return live;
}
