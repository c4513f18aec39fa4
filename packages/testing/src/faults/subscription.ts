import {
  type Broker,
  type BrokerSubscription,
  type BusError,
  type BusRecord,
  type Clock,
  type Delivery,
  LeaseLostError,
  type Sink,
  type Source,
  sleep,
  type Timer,
} from '@ambus/core';
import { DelayLine } from './delay-line.ts';
import type { Faults, Verdict } from './faults.ts';

interface Arrival {
  readonly delivery: Delivery;
  readonly verdict: Verdict | undefined;
}

/** A subscription with faults: what the broker delivers to, and what core settles with. */
export class FaultySubscription implements Sink, BrokerSubscription {
  readonly #sink: Sink;
  readonly #faults: Faults;
  readonly #clock: () => Clock;
  readonly #lease: number;
  /** Whether a record can go back: without a group there is nobody else to get it. */
  readonly #returns: boolean;
  readonly #line: DelayLine<Arrival>;
  /** Deliveries that the broker does not know of. */
  readonly #copies = new WeakSet<Delivery>();
  readonly #leases = new Set<Timer>();
  readonly #opened: PromiseWithResolvers<BrokerSubscription> = Promise.withResolvers();
  #inner: BrokerSubscription | undefined;

  constructor(broker: Broker, faults: Faults, clock: () => Clock, source: Source, sink: Sink) {
    this.#sink = sink;
    this.#faults = faults;
    this.#clock = clock;
    this.#lease = broker.capabilities.limits.lease;
    this.#returns = source.group !== undefined && source.channel === 'durable';
    this.#line = new DelayLine(clock, (arrival) => this.#arrive(arrival));
  }

  attach(inner: BrokerSubscription): this {
    this.#inner = inner;
    this.#opened.resolve(inner);
    return this;
  }

  // ---- from the broker ----------------------------------------------------------------------------------------------

  deliver(deliveries: readonly Delivery[]): void {
    // What nothing happens to stays together, as the broker handed it over.
    let untouched: Delivery[] = [];
    const pass = (): void => {
      if (untouched.length > 0) this.#sink.deliver(untouched);
      untouched = [];
    };
    for (const delivery of deliveries) {
      const verdict = this.#faults.decide('delivery', delivery.record, this.#clock());
      if (verdict === undefined && this.#line.isOpen) {
        untouched.push(delivery);
      } else {
        pass();
        this.#line.add({ delivery, verdict }, verdict?.delay ?? 0);
      }
    }
    pass();
  }

  #arrive({ delivery, verdict }: Arrival): void {
    const { fault } = verdict ?? {};
    if (fault === 'drop' || (fault === 'fail' && !this.#returns)) {
      this.#forget(delivery);
      return;
    }
    this.#sink.deliver([delivery]);
    if (fault === 'fail') {
      this.#sink.lost([delivery]);
      this.#giveBack(delivery);
    } else if (fault === 'duplicate') {
      const { record, attempt, native } = delivery;
      const copy: Delivery = { record, attempt, native };
      this.#copies.add(copy);
      this.#sink.deliver([copy]);
    }
  }

  recall(deliveries: readonly Delivery[]): void {
    this.#sink.recall?.(deliveries);
  }

  lost(deliveries: readonly Delivery[]): void {
    this.#line.take(({ delivery }) => deliveries.includes(delivery));
    this.#sink.lost(deliveries);
  }

  failed(error: BusError): void {
    this.#line.take();
    this.#sink.failed(error);
  }

  // ---- from core ----------------------------------------------------------------------------------------------------

  async ack(deliveries: readonly Delivery[]): Promise<readonly Delivery[]> {
    return this.#settle('ack', deliveries, (list) => this.#inner!.ack(list));
  }

  nack(delivery: Delivery, delay: number): Promise<readonly Delivery[]> {
    return this.#settle('nack', [delivery], ([one]) => this.#inner!.nack(one!, delay));
  }

  async #settle(
    place: 'ack' | 'nack',
    deliveries: readonly Delivery[],
    send: (deliveries: readonly Delivery[]) => Promise<readonly Delivery[]>,
  ): Promise<readonly Delivery[]> {
    const sent: Delivery[] = [];
    const twice: Delivery[] = [];
    const refused: Delivery[] = [];
    let failure: BusError | undefined;
    let delay = 0;
    for (const delivery of deliveries) {
      if (this.#copies.has(delivery)) continue;
      const verdict = this.#faults.decide(place, delivery.record, this.#clock());
      delay = Math.max(delay, verdict?.delay ?? 0);
      if (verdict?.fault === 'drop') this.#forget(delivery);
      else if (verdict?.fault !== 'fail') {
        sent.push(delivery);
        if (verdict?.fault === 'duplicate') twice.push(delivery);
      } else if (LeaseLostError.is(verdict.error) && this.#returns) {
        refused.push(delivery);
        this.#giveBack(delivery);
      } else {
        failure ??= verdict.error;
        this.#forget(delivery);
      }
    }
    if (delay > 0) await sleep(this.#clock(), delay);
    if (sent.length > 0) refused.push(...(await send(sent)));
    if (twice.length > 0) await send(twice).catch(() => {});
    if (failure !== undefined) throw failure;
    return refused;
  }

  async stage(delivery: Delivery, records: readonly BusRecord[]): Promise<void> {
    // The ack of a copy does not reach the broker either.
    if (!this.#copies.has(delivery)) await this.#inner!.stage!(delivery, records);
  }

  async release(deliveries: readonly Delivery[]): Promise<void> {
    const own = deliveries.filter((delivery) => !this.#copies.has(delivery));
    if (own.length > 0) await this.#inner!.release(own);
  }

  async pause(): Promise<void> {
    this.#line.hold();
    await this.#inner!.pause();
    await this.#returnLine();
  }

  resume(room?: number): void {
    this.#line.go();
    this.#inner!.resume(room);
  }

  async close(): Promise<void> {
    for (const timer of this.#leases) this.#clock().clearTimeout(timer);
    this.#leases.clear();
    await this.#returnLine();
    this.#line.take();
    await this.#inner!.close();
  }

  /** Others may have the time for what is on its way here; where the broker cannot take it back, it stays. */
  async #returnLine(): Promise<void> {
    if (!this.#returns) return;
    const onTheWay = this.#line.take().map(({ delivery }) => delivery);
    if (onTheWay.length > 0) await this.#inner!.release(onTheWay).catch(() => {});
  }

  // ---- what becomes of a record that the consumer does not know of -------------------------------------------------

  /** As after a connection that broke in the middle: it comes again when its lease is over. */
  #forget(delivery: Delivery): void {
    if (!this.#returns) {
      void this.#opened.promise.then((inner) => inner.ack([delivery])).catch(() => {});
      return;
    }
    const timer = this.#clock().setTimeout(() => {
      this.#leases.delete(timer);
      this.#giveBack(delivery);
    }, this.#lease);
    this.#leases.add(timer);
  }

  #giveBack(delivery: Delivery): void {
    void this.#opened.promise.then((inner) => inner.nack(delivery, 0)).catch(() => {});
  }
}
