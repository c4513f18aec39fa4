import {
  type BusError,
  type BusRecord,
  ConfigError,
  MessageTooLargeError,
  NoRespondersError,
} from '@ambus/core';
import type { Group, GroupTools } from '../group/group.ts';
import { Deduplication } from '../topic/deduplication.ts';
import { Topic } from '../topic/topic.ts';
import type { Inboxes } from './inbox.ts';
import { FOREIGN, type Origin } from './origin.ts';
import { Routes } from './routes.ts';
import { Schedule } from './schedule.ts';

/** Why a record was not taken: for good, or for want of room. */
export type Refusal = BusError | 'full';

/** What the spaces of one server share. */
export interface SpaceTools extends GroupTools {
  readonly inboxes: Inboxes;
  nextSeq(): number;
}

/** What lies under one prefix: buses with different prefixes never see each other's. */
export class Space {
  readonly tools: SpaceTools;
  readonly topics: Map<string, Topic> = new Map();
  readonly routes: Routes = new Routes();
  readonly schedule: Schedule;
  readonly #deduplication = new Deduplication();
  #lastTopic: Topic | undefined;

  constructor(tools: SpaceTools) {
    this.tools = tools;
    this.schedule = new Schedule(tools.agenda, (record) => this.#store(record, tools.now()));
  }

  /** Takes one record, wholly or not at all. */
  accept(record: BusRecord, origin: Origin, now: number): Refusal | undefined {
    if (record.body.byteLength > origin.maxMessageBytes) return tooLarge(record, origin.maxMessageBytes);
    if (record.channel === 'reply') {
      this.tools.inboxes.push(record);
      return undefined;
    }
    if (record.channel === 'durable' && this.topic(record.topic, origin) === undefined) {
      return missingTopic(record.topic);
    }
    const { deduplicationKey, deliverAt } = record;
    if (deduplicationKey !== undefined && this.#deduplication.seen(record.topic, deduplicationKey, now)) {
      return undefined;
    }
    if (deliverAt !== undefined && deliverAt > now) {
      this.schedule.add(record, deliverAt);
    } else {
      const refusal = this.#refusal(record, origin);
      if (refusal !== undefined) return refusal;
      this.#store(record, now);
    }
    if (deduplicationKey !== undefined) {
      this.#deduplication.remember(record.topic, deduplicationKey, now, origin.deduplicationWindow);
    }
    return undefined;
  }

  /** A durable topic, made if it may be; undefined if it is missing. */
  topic(name: string, origin: Origin): Topic | undefined {
    if (this.#lastTopic?.name === name) return this.#lastTopic;
    let topic = this.topics.get(name);
    if (topic === undefined && origin.create) {
      topic = new Topic(name, origin.retention(name));
      this.topics.set(name, topic);
    }
    this.#lastTopic = topic;
    return topic;
  }

  /** Removes records of a durable topic by their place, for every group. Returns how many there were. */
  remove(topic: string, seqs: ReadonlySet<number>): number {
    const removed = new Set<number>();
    this.topics.get(topic)?.log.remove(seqs, removed);
    this.#removeFromGroups(topic, (seq) => seqs.has(seq), removed);
    return removed.size;
  }

  /** Takes back what is not yet due. False when there is nothing of this id. */
  cancel(topic: string, id: string): boolean {
    const cancelled = this.schedule.drop(topic, id);
    for (const { deduplicationKey } of cancelled) {
      // What it kept others from repeating will never come.
      if (deduplicationKey !== undefined) this.#deduplication.forgetKey(topic, deduplicationKey);
    }
    return cancelled.length > 0;
  }

  /** Removes all records of a durable topic, those not yet due included. Returns how many there were. */
  purge(topic: string): number {
    const log = this.topics.get(topic)?.log;
    const removed = new Set(log && Array.from(log.records(), ({ seq }) => seq));
    log?.clear();
    this.#removeFromGroups(topic, () => true, removed);
    return removed.size + this.schedule.drop(topic).length;
  }

  /** False when there was none. */
  deleteTopic(name: string): boolean {
    this.purge(name);
    this.#deduplication.forget(name);
    this.#lastTopic = undefined;
    return this.topics.delete(name);
  }

  /** Forgets everything. */
  wipe(): void {
    this.routes.clear();
    this.topics.clear();
    this.schedule.clear();
    this.#deduplication.clear();
    this.#lastTopic = undefined;
  }

  #removeFromGroups(topic: string, doomed: (seq: number) => boolean, removed: Set<number>): void {
    for (const group of this.routes.targets('durable', topic)) {
      group.remove((entry) => entry.record.topic === topic && doomed(entry.seq), removed);
    }
  }

  #refusal(record: BusRecord, origin: Origin): Refusal | undefined {
    if (record.channel !== 'request' && origin.maxQueueSize === Number.POSITIVE_INFINITY) return undefined;
    const targets = this.#targets(record);
    if (record.channel === 'request' && targets.length === 0) {
      const { topic } = record;
      return new NoRespondersError(`nobody answers requests on "${topic}"`, { topic, broker: 'memory' });
    }
    for (const target of targets) if (target.full(origin.maxQueueSize)) return 'full';
    return undefined;
  }

  #store(record: BusRecord, now: number): void {
    const seq = this.tools.nextSeq();
    if (record.channel === 'durable') this.topic(record.topic, FOREIGN)!.append(record, seq, now);
    for (const target of this.#targets(record)) target.push(record, seq);
  }

  #targets(record: BusRecord): readonly Group[] {
    return this.routes.targets(record.channel as Group['channel'], record.topic);
  }
}

function tooLarge(record: BusRecord, limit: number): MessageTooLargeError {
  const size = record.body.byteLength;
  return new MessageTooLargeError(
    `a message for "${record.topic}" has ${size} bytes, at most ${limit} are allowed`,
    size,
    limit,
    { topic: record.topic, broker: 'memory' },
  );
}

/** A durable topic that should be there and is not. */
export function missingTopic(topic: string): ConfigError {
  return new ConfigError(`topic "${topic}" does not exist, and this bus may not create it`, {
    topic,
    broker: 'memory',
  });
}
