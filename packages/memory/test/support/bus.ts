import {
  type BrokerHost,
  type BrokerSubscription,
  type BusError,
  type BusRecord,
  type Delivery,
  type Inbox,
  type Provision,
  type Retention,
  type Sink,
  type Source,
  silentLogger,
} from '@ambus/core';
import { type MemoryBroker, type MemoryHub, type MemoryOptions, memory } from '../../src/index.ts';
import { settled } from './clock.ts';

const FOREVER = Number.POSITIVE_INFINITY;
let made = 0;

/** A whole record; the body is the id. */
export function record(topic: string, fields: Partial<BusRecord> = {}): BusRecord {
  const id = fields.id ?? `m${++made}`;
  return {
    id,
    topic,
    channel: 'durable',
    body: new TextEncoder().encode(id),
    time: 0,
    headers: undefined,
    key: undefined,
    priority: 2,
    source: undefined,
    type: undefined,
    contentType: undefined,
    contentEncoding: undefined,
    dataSchema: undefined,
    correlationId: undefined,
    causationId: undefined,
    replyTo: undefined,
    traceparent: undefined,
    tracestate: undefined,
    expiresAt: undefined,
    deliverAt: undefined,
    deduplicationKey: undefined,
    extensions: undefined,
    ...fields,
  };
}

/** Records `a0`, `a1` and so on. */
export function series(
  topic: string,
  count: number,
  fields: Partial<BusRecord> = {},
  name = 'a',
): BusRecord[] {
  return Array.from({ length: count }, (_, index) => record(topic, { id: `${name}${index}`, ...fields }));
}

/** A subscription that settles nothing by itself. */
export class Probe implements Sink {
  readonly deliveries: Delivery[] = [];
  readonly batches: number[] = [];
  readonly lostOnes: Delivery[] = [];
  failure: BusError | undefined;
  subscription!: BrokerSubscription;
  /** Called with each batch, inside of `deliver`. */
  onDeliver: ((deliveries: readonly Delivery[]) => void) | undefined;

  deliver(deliveries: readonly Delivery[]): void {
    this.batches.push(deliveries.length);
    this.deliveries.push(...deliveries);
    this.onDeliver?.(deliveries);
  }

  lost(deliveries: readonly Delivery[]): void {
    this.lostOnes.push(...deliveries);
  }

  failed(error: BusError): void {
    this.failure = error;
  }

  get ids(): string[] {
    return this.deliveries.map(({ record }) => record.id);
  }

  /** The latest delivery of a record. */
  of(id: string): Delivery {
    return this.deliveries.findLast(({ record }) => record.id === id)!;
  }

  async ack(...ids: string[]): Promise<readonly Delivery[]> {
    const refused = await this.subscription.ack(ids.map((id) => this.of(id)));
    await settled();
    return refused;
  }

  async nack(id: string, delay = 0): Promise<readonly Delivery[]> {
    const refused = await this.subscription.nack(this.of(id), delay);
    await settled();
    return refused;
  }

  async release(...ids: string[]): Promise<void> {
    await this.subscription.release(ids.map((id) => this.of(id)));
    await settled();
  }

  /** Acks everything as it comes. */
  consume(): this {
    this.onDeliver = (deliveries) => void this.subscription.ack(deliveries);
    return this;
  }
}

export interface BusOptions extends Omit<MemoryOptions, 'hub'> {
  readonly id?: string;
  readonly prefix?: string;
  readonly provision?: Provision;
  readonly window?: number;
  readonly retention?: Retention;
}

/** Core's part of a bus, as far as the broker sees it. */
export class TestBus {
  readonly broker: MemoryBroker;
  readonly events: string[] = [];
  readonly #host: BrokerHost;

  constructor(hub: MemoryHub, options: BusOptions = {}) {
    const {
      id = `bus${++made}`,
      prefix = 'ambus',
      provision = 'create',
      window = 1_000,
      retention = {},
      ...own
    } = options;
    this.broker = memory({ hub, ...own });
    this.#host = {
      busId: id,
      source: 'test',
      prefix,
      provision,
      deduplicationWindow: window,
      connectTimeout: 1_000,
      clock: hub.clock,
      logger: silentLogger,
      topic: () => ({ durability: 'durable', retention }),
      topicRules: [],
      disconnected: () => this.events.push('disconnected'),
      reconnected: () => this.events.push('reconnected'),
      warning: () => this.events.push('warning'),
      scheduled: () => {},
    };
  }

  get id(): string {
    return this.#host.busId;
  }

  async open(): Promise<this> {
    await this.broker.connect(this.#host);
    return this;
  }

  async publish(records: BusRecord | readonly BusRecord[], deadline: number = FOREVER): Promise<void> {
    await this.broker.publish(Array.isArray(records) ? records : [records], deadline);
    await settled();
  }

  async subscribe(pattern: string, source: Partial<Source> = {}, probe: Probe = new Probe()): Promise<Probe> {
    probe.subscription = await this.broker.subscribe(
      { pattern, channel: 'durable', group: undefined, from: 'new', prefetch: 10, order: 'skip', ...source },
      probe,
    );
    await settled();
    return probe;
  }

  async inbox(): Promise<{ inbox: Inbox; replies: string[] }> {
    const replies: string[] = [];
    const inbox = await this.broker.openInbox((records) => replies.push(...records.map(({ id }) => id)));
    return { inbox, replies };
  }
}

export function connect(hub: MemoryHub, options?: BusOptions): Promise<TestBus> {
  return new TestBus(hub, options).open();
}

/** What a promise is rejected with. */
export async function failure(promise: Promise<unknown>): Promise<any> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new TypeError('it was not rejected');
}
