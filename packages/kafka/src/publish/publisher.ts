import { type BusError, type ClosedError, ConfigError } from '@ambus/core';
import type { Cluster } from '../driver/cluster.ts';
import { type OutRecord, RECORD_OVERHEAD } from '../driver/records.ts';
import type { Settings } from '../options.ts';
import type { Catalog } from '../topics/catalog.ts';
import { type PublishCall, tooLate } from './call.ts';
import { Identities } from './identities.ts';
import { PartitionQueue } from './queue.ts';
import { AGAIN, Sender } from './sender.ts';

/** Requests on their way to one server. A second keeps it busy while the answer to the first travels; more only add memory. */
const IN_FLIGHT = 3;
/** Batches of the largest size that go into one request. */
const BATCHES = 6;
/** Milliseconds between looks for what is past its deadline. */
const SWEEP = 50;
/** Milliseconds that a topic may be unknown before its messages are refused: a server that lags behind is asked again. */
const UNKNOWN = 600;

/** Produces records, idempotently: batches by partition, sent again until they are stored or their deadline is past. */
export class Publisher {
  readonly #catalog: Catalog;
  readonly #settings: Settings;
  readonly #identities: Identities;
  readonly #sender: Sender;
  /** Called when a topic that is published to is not there. Returns whether it is being made. */
  missing: (topic: string, name: string) => boolean = () => false;
  readonly #queues = new Map<string, PartitionQueue>();
  readonly #active = new Set<PartitionQueue>();
  readonly #inFlight = new Map<number, number>();
  #scheduled = false;
  #sweeper: NodeJS.Timeout | undefined;
  #alarm: NodeJS.Timeout | undefined;
  #alarmAt = Number.POSITIVE_INFINITY;
  #ended: ClosedError | undefined;

  constructor(cluster: Cluster, catalog: Catalog, settings: Settings) {
    this.#catalog = catalog;
    this.#settings = settings;
    this.#identities = new Identities(cluster);
    this.#sender = new Sender(cluster, settings, this.#identities, (queues) => void this.#refresh(queues));
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

  /** Fails everything for a Kafka topic. */
  refuse(topic: string, error: BusError): void {
    for (const queue of this.#active) if (queue.topic === topic) this.#fail(queue, error);
  }

  close(error: ClosedError): void {
    this.#ended = error;
    clearInterval(this.#sweeper);
    clearTimeout(this.#alarm);
    this.#failAll(error);
  }

  #failAll(error: BusError): void {
    for (const queue of this.#active) this.#fail(queue, error);
  }

  #fail(queue: PartitionQueue, error: BusError): void {
    const gaveUp = queue.fail(error);
    if (gaveUp !== undefined) this.#identities.retire(gaveUp);
    this.#active.delete(queue);
  }

  #schedule(): void {
    if (this.#scheduled || this.#ended !== undefined) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  /** Looks again at that time, or before. */
  #wakeAt(time: number): void {
    if (time >= this.#alarmAt) return;
    clearTimeout(this.#alarm);
    this.#alarmAt = time;
    this.#alarm = setTimeout(
      () => {
        this.#alarmAt = Number.POSITIVE_INFINITY;
        this.#schedule();
      },
      Math.max(1, time - Date.now()),
    ).unref();
  }

  #pump(): void {
    if (this.#ended !== undefined) return;
    for (const [node, queues] of this.#due()) {
      const flying = this.#inFlight.get(node) ?? 0;
      if (flying >= IN_FLIGHT) continue;
      const parts: PartitionQueue[] = [];
      let room = this.#settings.batchBytes * BATCHES;
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
      void this.#send(node, parts);
    }
  }

  /** What may go now, by the server that it goes to. */
  #due(): Map<number, PartitionQueue[]> {
    const { linger, batchBytes } = this.#settings;
    const now = Date.now();
    const byNode = new Map<number, PartitionQueue[]>();
    const moved: PartitionQueue[] = [];
    let nameless = false;
    for (const queue of this.#active) {
      if (queue.sending) continue;
      const first =
        queue.batch === undefined && queue.bytes < batchBytes
          ? Math.max(queue.notBefore, queue.since + linger)
          : queue.notBefore;
      if (first > now) {
        this.#wakeAt(first);
        continue;
      }
      queue.producer ??= this.#identities.current;
      if (queue.producer === undefined) {
        nameless = true;
        continue;
      }
      const leader = this.#catalog.known(queue.topic)?.leaders[queue.partition] ?? -1;
      if (leader < 0) {
        queue.notBefore = now + AGAIN;
        moved.push(queue);
        continue;
      }
      const known = byNode.get(leader);
      if (known === undefined) byNode.set(leader, [queue]);
      else known.push(queue);
    }
    if (moved.length > 0) void this.#refresh(moved);
    if (nameless) this.#identify();
    return byNode;
  }

  async #send(node: number, queues: readonly PartitionQueue[]): Promise<void> {
    await this.#sender.send(node, queues);
    this.#inFlight.set(node, (this.#inFlight.get(node) ?? 1) - 1);
    for (const queue of queues) {
      queue.sending = false;
      // One that was failed meanwhile may have got something new.
      if (queue.empty) this.#active.delete(queue);
      else this.#active.add(queue);
    }
    if (this.#active.size > 0) this.#schedule();
    else {
      clearInterval(this.#sweeper);
      this.#sweeper = undefined;
    }
  }

  async #refresh(queues: readonly PartitionQueue[]): Promise<void> {
    const names = [...new Set(queues.map(({ topic }) => topic))];
    await this.#catalog.refresh(names).catch(() => {});
    this.#wakeAt(Date.now() + AGAIN);
  }

  #identify(): void {
    const active = this.#active;
    const wanted = (): boolean => active.size > 0 && this.#ended === undefined;
    const failed = (error: BusError): void => {
      for (const queue of active) queue.cause = error;
      if (!error.retryable) this.#failAll(error);
    };
    void this.#identities.ask(wanted, failed).then(() => this.#schedule());
  }

  /** Fails what is past its deadline, and what is for a topic that is not there. */
  #sweep(): void {
    if (this.#active.size === 0) {
      clearInterval(this.#sweeper);
      this.#sweeper = undefined;
      return;
    }
    const now = Date.now();
    for (const queue of this.#active) {
      let left = false;
      for (const item of [...(queue.batch ?? []), ...queue.waiting()]) {
        if (item.call.done(item.index)) continue;
        if (now >= item.call.deadline) item.call.failed(item.index, tooLate(queue.name, queue.cause));
        else left = true;
      }
      if (!queue.sending) {
        const gaveUp = queue.dropExpired(now);
        if (gaveUp !== undefined) this.#identities.retire(gaveUp);
      }
      if (left) this.#lookFor(queue, now);
    }
    this.#schedule();
  }

  #lookFor(queue: PartitionQueue, now: number): void {
    if (this.#catalog.known(queue.topic) !== undefined) {
      queue.unknownSince = 0;
      return;
    }
    queue.unknownSince ||= now;
    if (this.missing(queue.topic, queue.name) || queue.sending || now - queue.unknownSince < UNKNOWN) return;
    const error = new ConfigError(`topic "${queue.name}" does not exist (Kafka topic "${queue.topic}")`, {
      topic: queue.name,
      broker: 'kafka',
    });
    this.#fail(queue, error);
  }
}
