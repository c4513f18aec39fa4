import { BusError, type ClosedError, ConfigError, MessageTooLargeError } from '@ambus/core';
import type { Cluster } from '../driver/cluster.ts';
import { Code, isPassing, isRefusal, serverError } from '../driver/errors.ts';
import { type Produced, produce } from '../driver/log-requests.ts';
import { encodeBatch, type OutRecord, type Producer, RECORD_OVERHEAD } from '../driver/records.ts';
import type { Settings } from '../options.ts';
import type { Catalog } from '../topics/catalog.ts';
import { type PublishCall, tooLate } from './call.ts';
import { newProducer } from './producer.ts';
import { type Item, PartitionQueue } from './queue.ts';

/** Requests on their way to one server. A second keeps it busy while the answer to the first travels; more only add memory. */
const IN_FLIGHT = 3;
/** Milliseconds before another attempt. */
const AGAIN = 40;
/** Milliseconds between looks for what is past its deadline. */
const SWEEP = 50;
/** Milliseconds that a topic may be unknown before its messages are refused. */
const UNKNOWN = 600;

/** Produces records, idempotently: batches by partition, sent again until they are stored or their deadline is past. */
export class Publisher {
  readonly #cluster: Cluster;
  readonly #catalog: Catalog;
  readonly #settings: Settings;
  /** Called when a topic that is published to is gone. */
  missing: (topic: string, name: string) => void = () => {};
  readonly #queues = new Map<string, PartitionQueue>();
  readonly #active = new Set<PartitionQueue>();
  readonly #inFlight = new Map<number, number>();
  #producer: Producer | undefined;
  #identifying: Promise<unknown> | undefined;
  #scheduled = false;
  #sweeper: NodeJS.Timeout | undefined;
  #ended: ClosedError | undefined;

  constructor(cluster: Cluster, catalog: Catalog, settings: Settings) {
    this.#cluster = cluster;
    this.#catalog = catalog;
    this.#settings = settings;
  }

  /** @param name - the topic as the bus calls it */
  add(
    topic: string,
    partition: number,
    name: string,
    record: OutRecord,
    call: PublishCall,
    index: number,
  ): void {
    const place = `${topic}/${partition}`;
    let queue = this.#queues.get(place);
    if (queue === undefined) {
      queue = new PartitionQueue(topic, partition, name);
      this.#queues.set(place, queue);
    }
    const size =
      RECORD_OVERHEAD + record.headers.length + (record.key?.length ?? 0) + (record.value?.length ?? 0);
    queue.push({ record, size, call, index }, Date.now());
    this.#active.add(queue);
  }

  /** Sends what was added. */
  flush(): void {
    if (this.#ended !== undefined) this.#failAll(this.#ended);
    if (this.#active.size === 0) return;
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP).unref();
    this.#schedule();
  }

  close(error: ClosedError): void {
    this.#ended = error;
    clearInterval(this.#sweeper);
    this.#failAll(error);
  }

  #failAll(error: BusError): void {
    for (const queue of this.#active) {
      for (const item of [...(queue.batch ?? []), ...queue.waiting()]) item.call.failed(item.index, error);
    }
    this.#active.clear();
  }

  #schedule(): void {
    if (this.#scheduled || this.#ended !== undefined) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#ended !== undefined) return;
    const producer = this.#producer;
    if (producer === undefined) {
      this.#identify();
      return;
    }
    const now = Date.now();
    const byNode = new Map<number, PartitionQueue[]>();
    for (const queue of this.#active) {
      if (queue.sending || queue.notBefore > now) continue;
      if (queue.batch === undefined && now - queue.since < this.#settings.linger) continue;
      const leader = this.#catalog.known(queue.topic)?.leaders[queue.partition] ?? -1;
      if (leader < 0) {
        this.#delay(queue);
        continue;
      }
      const known = byNode.get(leader);
      if (known === undefined) byNode.set(leader, [queue]);
      else known.push(queue);
    }
    for (const [node, queues] of byNode) {
      const flying = this.#inFlight.get(node) ?? 0;
      if (flying >= IN_FLIGHT) continue;
      const parts: PartitionQueue[] = [];
      let room = this.#settings.batchBytes * 6;
      for (const queue of queues) {
        if (room <= 0) break;
        const batch = queue.take(this.#settings.batchBytes);
        if (batch === undefined) {
          this.#active.delete(queue);
          continue;
        }
        for (const { size } of batch) room -= size;
        queue.sending = true;
        parts.push(queue);
      }
      if (parts.length === 0) continue;
      this.#inFlight.set(node, flying + 1);
      void this.#send(node, parts, producer);
    }
  }

  async #send(node: number, all: readonly PartitionQueue[], producer: Producer): Promise<void> {
    const { acks, compression, requestTimeout } = this.#settings;
    try {
      await this.#cluster.reach(node);
      // Connecting takes its time, too: nothing is sent after its deadline.
      for (const queue of all) this.#dropExpired(queue, queue.tried);
      if (this.#producer !== producer) return;
      const queues = all.filter(({ batch }) => batch !== undefined);
      if (queues.length === 0) return;
      for (const queue of queues) queue.tried = true;
      const entries = await Promise.all(
        queues.map(async (queue) => ({
          topic: queue.topic,
          partition: queue.partition,
          batch: await encodeBatch(
            queue.batch!.map(({ record }) => record),
            producer,
            queue.sequence(producer),
            compression,
          ),
        })),
      );
      const answers = await this.#cluster.send(node, produce(entries, acks, requestTimeout));
      const places = new Map(queues.map((queue) => [`${queue.topic}/${queue.partition}`, queue]));
      for (const answer of answers)
        this.#answered(places.get(`${answer.topic}/${answer.partition}`)!, answer);
    } catch (error) {
      for (const queue of all) this.#lost(queue, error);
      void this.#refresh(all);
    } finally {
      this.#inFlight.set(node, (this.#inFlight.get(node) ?? 1) - 1);
      for (const queue of all) {
        queue.sending = false;
        if (queue.empty) this.#active.delete(queue);
      }
      if (this.#active.size > 0) this.#schedule();
      else {
        clearInterval(this.#sweeper);
        this.#sweeper = undefined;
      }
    }
  }

  #answered(queue: PartitionQueue, { error }: Produced): void {
    const batch = queue.batch!;
    if (error === 0 || error === Code.duplicateSequence) {
      queue.most = Number.POSITIVE_INFINITY;
      queue.stored();
      for (const { call, index } of batch) call.accepted(index);
    } else if (error === Code.messageTooLarge || error === Code.recordListTooLarge) {
      this.#tooLarge(queue, batch);
    } else if (
      error === Code.outOfOrderSequence ||
      error === Code.unknownProducer ||
      error === Code.invalidProducerEpoch
    ) {
      this.#producer = undefined;
      this.#dropExpired(queue, false);
    } else if (isPassing(error)) {
      queue.cause = serverError(error, 'producing', queue.name);
      this.#delay(queue);
      this.#dropExpired(queue, error === Code.requestTimedOut || error === Code.notEnoughReplicasAfterAppend);
    } else {
      const failure = isRefusal(error)
        ? new ConfigError(`this account may not publish to "${queue.name}"`, {
            broker: 'kafka',
            topic: queue.name,
          })
        : serverError(error, `publishing to "${queue.name}"`, queue.name);
      this.#refuse(queue, batch, failure);
    }
  }

  /** Nobody knows what became of the batch: it is sent again under its number. */
  #lost(queue: PartitionQueue, error: unknown): void {
    if (queue.batch === undefined) return;
    queue.cause = error;
    if (BusError.is(error) && !error.retryable) {
      this.#refuse(queue, queue.batch, error);
      return;
    }
    queue.notBefore = Date.now() + AGAIN;
    this.#dropExpired(queue, true);
  }

  #tooLarge(queue: PartitionQueue, batch: readonly Item[]): void {
    if (batch.length === 1) {
      const size = batch[0]!.record.value?.length ?? 0;
      const error = new MessageTooLargeError(
        `the server does not take a message of ${size} bytes for "${queue.name}": see its max.message.bytes`,
        size,
        size - 1,
        { topic: queue.name, broker: 'kafka' },
      );
      this.#refuse(queue, batch, error);
      return;
    }
    queue.most = 1;
    queue.putBack();
  }

  /** None of the batch was stored, and none will be. */
  #refuse(queue: PartitionQueue, batch: readonly Item[], error: BusError): void {
    queue.batch = undefined;
    for (const { call, index } of batch) call.failed(index, error);
  }

  /** @param unknown - whether the batch may have been stored: then what follows cannot be numbered behind it */
  #dropExpired(queue: PartitionQueue, unknown: boolean): void {
    if (queue.batch === undefined) return;
    const now = Date.now();
    for (const { call, index } of queue.batch) {
      if (now >= call.deadline) call.failed(index, tooLate(queue.name, queue.cause));
    }
    const left = queue.batch.filter(({ call, index }) => !call.done(index));
    if (left.length === queue.batch.length) return;
    queue.batch = left.length === 0 ? undefined : left;
    if (unknown) this.#producer = undefined;
  }

  #delay(queue: PartitionQueue): void {
    queue.notBefore = Date.now() + AGAIN;
    void this.#refresh([queue]);
  }

  async #refresh(queues: readonly PartitionQueue[]): Promise<void> {
    const names = [...new Set(queues.map(({ topic }) => topic))];
    await this.#catalog.refresh(names).catch(() => {});
    setTimeout(() => this.#schedule(), AGAIN).unref();
  }

  #identify(): void {
    const active = this.#active;
    this.#identifying ??= newProducer(
      this.#cluster,
      () => active.size > 0 && this.#ended === undefined,
      (error) => {
        if (!error.retryable) this.#failAll(error);
        for (const queue of active) queue.cause = error;
      },
    ).then((producer) => {
      this.#identifying = undefined;
      this.#producer = producer;
      if (producer !== undefined) this.#schedule();
    });
  }

  /** Fails what is past its deadline, and what is for a topic that is not there. */
  #sweep(): void {
    const now = Date.now();
    for (const queue of this.#active) {
      let left = false;
      for (const item of [...(queue.batch ?? []), ...queue.waiting()]) {
        if (item.call.done(item.index)) continue;
        if (now >= item.call.deadline) item.call.failed(item.index, tooLate(queue.name, queue.cause));
        else left = true;
      }
      if (!left && !queue.sending && queue.batch !== undefined) this.#dropExpired(queue, true);
      if (left && this.#catalog.known(queue.topic) === undefined) this.missing(queue.topic, queue.name);
      if (
        left &&
        now - queue.since > UNKNOWN &&
        this.#catalog.known(queue.topic) === undefined &&
        queue.cause === undefined
      ) {
        this.#unknown(queue);
      }
    }
    this.#schedule();
  }

  #unknown(queue: PartitionQueue): void {
    const error = new ConfigError(`topic "${queue.name}" does not exist (Kafka topic "${queue.topic}")`, {
      topic: queue.name,
      broker: 'kafka',
    });
    for (const item of [...(queue.batch ?? []), ...queue.waiting()]) item.call.failed(item.index, error);
    queue.clear();
    this.#active.delete(queue);
  }
}
