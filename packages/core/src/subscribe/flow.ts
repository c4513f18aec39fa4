import type { BrokerSubscription, Delivery, Sink, Source } from '../broker.ts';
import type { BusRecord } from '../envelope/record.ts';
import type { BusError } from '../errors.ts';

/** Most acks that wait for the end of the tick before they go out. */
const ACK_BATCH = 500;

/** What a flow reports to its consumer. */
export interface FlowEvents {
  delivered(deliveries: readonly Delivery[], flow: Flow): void;
  lost(deliveries: readonly Delivery[]): void;
  recalled(deliveries: readonly Delivery[], flow: Flow): void;
  failed(error: BusError): void;
  /** Of a batch of acks: which were refused because their lease was lost. */
  acked(acks: readonly Delivery[], refused: readonly Delivery[]): void;
  /** It is unknown whether these acks arrived: their messages may come again. */
  ackUnknown(deliveries: readonly Delivery[], error: unknown): void;
}

/**
 * Core's end of one subscription at the broker. Collects the acks of a tick into one call: a promise and a round trip
 * per ack would cost more than the handling of most messages.
 */
export class Flow implements Sink {
  readonly source: Source;
  readonly #events: FlowEvents;
  #subscription: BrokerSubscription | undefined;
  #early: (() => void)[] = [];
  #acks: Delivery[] = [];
  /** For those who wait for the answer to the acks collected so far. */
  #confirmed: PromiseWithResolvers<readonly Delivery[]> | undefined;
  #scheduled = false;
  #left = false;
  /** Calls to the broker that are under way. */
  readonly #settling = new Set<Promise<unknown>>();

  constructor(source: Source, events: FlowEvents) {
    this.source = source;
    this.#events = events;
  }

  /** Whether the broker can take a message back: for a retry, or untouched. */
  get returnable(): boolean {
    return this.source.group !== undefined && this.source.channel === 'durable';
  }

  attach(subscription: BrokerSubscription): void {
    this.#subscription = subscription;
    for (const deliver of this.#early.splice(0)) deliver();
  }

  deliver(deliveries: readonly Delivery[]): void {
    // A broker may deliver before its `subscribe` has told us how to settle.
    if (this.#subscription === undefined) this.#early.push(() => this.#events.delivered(deliveries, this));
    else this.#events.delivered(deliveries, this);
  }

  lost(deliveries: readonly Delivery[]): void {
    this.#events.lost(deliveries);
  }

  recall(deliveries: readonly Delivery[]): void {
    this.#events.recalled(deliveries, this);
  }

  failed(error: BusError): void {
    this.#events.failed(error);
  }

  /** Acks with the rest of the tick. What becomes of it is told to `FlowEvents`. */
  ack(delivery: Delivery): void {
    if (this.#left) return;
    this.#acks.push(delivery);
    if (this.#acks.length >= ACK_BATCH) {
      this.flush();
    } else if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.#flushScheduled);
    }
  }

  readonly #flushScheduled = (): void => {
    this.#scheduled = false;
    this.flush();
  };

  /** Acks with the rest of the tick and resolves to whether the ack was accepted; rejects when nobody knows. */
  async ackConfirmed(delivery: Delivery): Promise<boolean> {
    if (this.#left) return true;
    this.#confirmed ??= Promise.withResolvers();
    const batch = this.#confirmed.promise;
    this.ack(delivery);
    const refused = await batch;
    return !refused.includes(delivery);
  }

  /** Sends the collected acks now. */
  flush(): void {
    if (this.#acks.length === 0) return;
    const acks = this.#acks;
    const confirmed = this.#confirmed;
    this.#acks = [];
    this.#confirmed = undefined;
    this.#track(this.#subscription!.ack(acks)).then(
      (refused) => {
        confirmed?.resolve(refused);
        this.#events.acked(acks, refused);
      },
      (error: unknown) => {
        confirmed?.reject(error);
        this.#events.ackUnknown(acks, error);
      },
    );
  }

  /** Resolves to whether the broker took it back. */
  async nack(delivery: Delivery, delay: number): Promise<boolean> {
    const refused = await this.#track(this.#subscription!.nack(delivery, delay));
    return refused.length === 0;
  }

  /** Stages a record that goes with the ack; without one, drops what was staged. */
  stage(delivery: Delivery, record?: BusRecord): Promise<void> {
    return this.#track(this.#subscription!.stage!(delivery, record === undefined ? [] : [record]));
  }

  release(deliveries: readonly Delivery[]): Promise<void> {
    return deliveries.length === 0 ? Promise.resolve() : this.#track(this.#subscription!.release(deliveries));
  }

  async pause(): Promise<void> {
    await this.#subscription?.pause();
  }

  resume(room: number | undefined): void {
    this.#subscription?.resume(room);
  }

  /** Resolves when every ack, nack and release so far has been answered. */
  async settled(): Promise<void> {
    this.flush();
    while (this.#settling.size > 0) await Promise.allSettled(this.#settling);
  }

  /**
   * Ends it at the broker at once, while handlers still run. Only where the broker cannot take a message back: there
   * nothing is left to settle, and what still came in would wait for nobody.
   */
  async leave(): Promise<void> {
    this.flush();
    this.#left = true;
    await this.#subscription?.close();
  }

  async close(): Promise<void> {
    if (!this.#left) await this.#subscription?.close();
  }

  #track<T>(call: Promise<T>): Promise<T> {
    this.#settling.add(call);
    const done = (): void => void this.#settling.delete(call);
    call.then(done, done);
    return call;
  }
}
