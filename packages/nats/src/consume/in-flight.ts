import {
  type BrokerSubscription,
  type BusError,
  ConfigError,
  type Delivery,
  type Sink,
  type Source,
} from '@ambus/core';
import type { LinkListener } from '../link/contracts.ts';
import type { DriverSubscription, Incoming } from '../link/driver.ts';
import type { Link } from '../link/link.ts';
import { type Names, queueName, subjectsOf } from '../names.ts';
import { WireRecord } from '../wire/record.ts';
import { GONE, LENT, Loan } from './delivery.ts';
import { Turns } from './turns.ts';

const NONE: readonly Delivery[] = [];

/** Messages that may wait in this process; what comes then is dropped, as whoever is not listening misses it. */
const MOST_WAITING = 65_536;

/** A subscription to an ephemeral topic, or to requests: core NATS, where a group is a queue. */
export class InFlight implements BrokerSubscription, LinkListener {
  readonly #link: Link;
  readonly #names: Names;
  readonly #source: Source;
  readonly #sink: Sink;
  readonly #turns: Turns<Loan>;
  #subscriptions: readonly DriverSubscription[] = [];
  #batch: Incoming[] = [];
  #lent = 0;
  #count = 0;
  #scheduled = false;
  #paused = true;
  #warned = false;
  #opened = false;
  #refusal: ConfigError | undefined;

  constructor(link: Link, names: Names, source: Source, sink: Sink) {
    this.#link = link;
    this.#names = names;
    this.#source = source;
    this.#sink = sink;
    this.#turns = new Turns(source.prefetch);
  }

  /**
   * In place when it resolves: the server has seen it.
   *
   * @throws {ConfigError} when the account may not
   */
  async open(): Promise<void> {
    this.resume();
    try {
      await this.#link.flush();
      if (this.#refusal !== undefined) throw this.#refusal;
    } catch (error) {
      // The driver would subscribe again with the next connection.
      await this.close();
      throw error;
    }
    this.#opened = true;
    this.#link.listeners.add(this);
  }

  /** Also later: an account may lose what it had. */
  #refused({ message }: ConfigError): void {
    if (this.#refusal !== undefined) return;
    this.#refusal = new ConfigError(message, { topic: this.#source.pattern, broker: 'nats' });
    if (this.#opened) this.ended(this.#refusal);
  }

  ended(error: BusError): void {
    this.#link.listeners.delete(this);
    this.#sink.failed(error);
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const { pattern, group, channel } = this.#source;
    const queue = group === undefined ? undefined : queueName(pattern, group);
    const subject = (topic: string): string =>
      channel === 'request' ? this.#names.request(topic) : this.#names.ephemeral(topic);
    this.#subscriptions = subjectsOf(pattern).map((topic) =>
      this.#link.subscribe(
        subject(topic),
        queue,
        (message) => {
          this.#batch.push(message);
          this.#changed();
        },
        (error) => this.#refused(error),
      ),
    );
    this.#changed();
  }

  #changed(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#dispatch);
  }

  readonly #dispatch = (): void => {
    this.#scheduled = false;
    this.#accept();
    if (this.#paused) return;
    const batch: Loan[] = [];
    while (this.#lent < this.#source.prefetch) {
      const loan = this.#turns.take(4);
      if (loan === undefined) break;
      loan.state = LENT;
      this.#lent++;
      batch.push(loan);
    }
    if (batch.length > 0) this.#sink.deliver(batch);
  };

  #accept(): void {
    const arrived = this.#batch;
    if (arrived.length === 0) return;
    this.#batch = [];
    const now = Date.now();
    const { channel, pattern } = this.#source;
    for (const message of arrived) {
      if (this.#turns.ready + this.#turns.waiting >= MOST_WAITING) {
        this.#tooSlow(pattern);
        return;
      }
      const topic = this.#names.topicOfFlight(message.subject);
      const seq = ++this.#count;
      const record = new WireRecord(topic, channel, message, this.#link.inbox, seq, now);
      this.#turns.add(new Loan(record, message, this, record.priority, seq, 1, 1, now));
    }
  }

  #tooSlow(pattern: string): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#link.host.warning('an ephemeral subscription is too slow: messages are dropped', { pattern });
  }

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
    if (this.#paused) return;
    const subscriptions = this.#subscriptions;
    this.#subscriptions = [];
    this.#paused = true;
    if (!this.#link.canSend) for (const one of subscriptions) one.unsubscribe();
    else await Promise.all(subscriptions.map((one) => one.drain().catch(() => {})));
  }

  async close(): Promise<void> {
    this.#link.listeners.delete(this);
    await this.pause();
    this.#turns.extract(() => true);
  }
}
