import type { Retention } from '@ambus/core';
import { nuid } from 'nats';
import type { LinkListener } from '../link/contracts.ts';
import { firstSince } from './consumers.ts';
import { deleteConsumer } from './delete-consumer.ts';
import { probe } from './other-consumers.ts';
import { removeRecords } from './removal.ts';
import { settledOf } from './settled.ts';
import type { Space } from './space.ts';

/** Kept where a topic says nothing: enough to look back. */
const DEFAULT: Retention = Object.freeze({ maxMessages: 10_000 });

/** Of what is kept, the share that may be there beyond it, or be older, before it is trimmed. */
const SLACK = 0.1;
/** Milliseconds after which a topic is trimmed for less. */
const AT_LEAST_EVERY = 60_000;
interface Watched {
  /** Whether this bus publishes to it. */
  isPublished: boolean;
  /** Records published since the last trim; where this bus does not publish, records that have come. */
  count: number;
  /** When that was; milliseconds since the epoch. */
  trimmed: number;
}

/**
 * Removes what is beyond a topic's retention and settled by every group. JetStream's own limits would also remove what is
 * not settled, so the buses see to it themselves: those that publish, and for others that may not, those that consume.
 */
export class Trimmer implements LinkListener {
  readonly #space: Space;
  /** Who waits longest comes first. */
  readonly #topics = new Map<string, Watched>();
  #trimming: Promise<void> | undefined;

  constructor(space: Space) {
    this.#space = space;
  }

  published(topic: string): void {
    const found = this.#topics.get(topic);
    if (found?.isPublished) found.count++;
    else this.#begin(topic);
  }

  /**
   * Somewhere on the way to its first trim: of programs that publish a little and end, none would get there, and so a few
   * of them do.
   */
  #begin(topic: string): void {
    const { count, wait } = this.#slackOf(topic);
    const part = Math.random();
    const begun = {
      count: 1 + (Number.isFinite(count) ? part * count : 0),
      trimmed: Date.now() - part * wait,
    };
    this.#topics.set(topic, { ...begun, isPublished: true });
  }

  /** A record of it has come: those that publish it may not be allowed to trim. */
  consumed(topic: string): void {
    const found = this.#topics.get(topic);
    if (found === undefined) this.#topics.set(topic, { isPublished: false, count: 1, trimmed: 0 });
    else if (!found.isPublished) found.count++;
  }

  tick(now: number): void {
    if (this.#trimming !== undefined || !this.#mayTrim || !this.#space.link.canSend) return;
    const topic = this.#due(now, true) ?? this.#due(now, false);
    if (topic === undefined) return;
    this.#trimming = this.trim(topic)
      .catch(() => {})
      .finally(() => {
        this.#trimming = undefined;
      });
  }

  /** The bus is about to end: what is due of what it publishes to is trimmed. */
  async close(): Promise<void> {
    const now = Date.now();
    await this.#trimming;
    while (this.#mayTrim && this.#space.link.canSend) {
      const topic = this.#due(now, true);
      if (topic === undefined) return;
      await this.trim(topic).catch(() => {});
    }
  }

  /** A work queue keeps nothing that is settled, and takes no consumer that only looks. */
  get #mayTrim(): boolean {
    return this.#space.mayCreate && this.#space.streams.retention !== 'workqueue';
  }

  #due(now: number, isPublished: boolean): string | undefined {
    for (const [topic, watched] of this.#topics) {
      if (watched.isPublished !== isPublished) continue;
      const { count, wait } = this.#slackOf(topic);
      if ((isPublished && watched.count > count) || now - watched.trimmed >= wait) return topic;
    }
    return undefined;
  }

  /** Records after which a topic is trimmed, and milliseconds. */
  #slackOf(topic: string): { count: number; wait: number } {
    const { maxAge = Number.POSITIVE_INFINITY, maxMessages = Number.POSITIVE_INFINITY } =
      this.#ruleOf(topic) ?? DEFAULT;
    return { count: maxMessages * SLACK, wait: Math.min(maxAge * SLACK, AT_LEAST_EVERY) };
  }

  /** What this bus says of the topic. */
  #ruleOf(topic: string): Retention | undefined {
    return saysSomething(this.#space.retentionOf(topic));
  }

  /** Where this bus says nothing, what the one said that made the topic. */
  async #toldOf(topic: string): Promise<Retention | undefined> {
    return this.#ruleOf(topic) ?? saysSomething(await this.#space.retentionWhenMade(topic));
  }

  /** By what this bus trims the topic, if it publishes to it. */
  async retentionOf(topic: string): Promise<Retention> {
    return (await this.#toldOf(topic)) ?? DEFAULT;
  }

  /**
   * Before a topic is looked at, so that what is seen is what is retained. Who only looks, and says nothing of the topic,
   * removes nothing: those that publish may keep more than the default.
   */
  async look(topic: string): Promise<void> {
    if (this.#topics.get(topic)?.isPublished || this.#ruleOf(topic) !== undefined) await this.trim(topic);
  }

  async trim(topic: string): Promise<void> {
    const space = this.#space;
    if (!this.#mayTrim) return;
    const watched = this.#topics.get(topic) ?? { isPublished: false, count: 0, trimmed: 0 };
    const isIdle = watched.count === 0;
    watched.count = 0;
    watched.trimmed = Date.now();
    this.#topics.delete(topic);
    this.#topics.set(topic, watched);
    // Who only consumes has no default: those that publish may keep more.
    const rule = watched.isPublished ? await this.retentionOf(topic) : await this.#toldOf(topic);
    if (rule === undefined) {
      if (isIdle) this.#topics.delete(topic);
      return;
    }
    const { maxAge, maxMessages = Number.POSITIVE_INFINITY } = rule;
    const subject = space.names.data('*', topic);
    const { state } = await space.info(subject);
    const subjects = Object.entries(state.subjects ?? {});
    const total = subjects.reduce((sum, [, count]) => sum + count, 0);
    const eldest = maxAge === undefined ? undefined : Date.now() - maxAge;
    const isOld =
      eldest !== undefined &&
      (await this.#isOlder(
        subjects.map(([name]) => name),
        eldest,
      ));
    if (total <= maxMessages && !isOld) {
      // What is there grows older without any publish.
      const isDone = maxAge === undefined || total === 0;
      if (isDone && isIdle) this.#topics.delete(topic);
      return;
    }
    const settled = await settledOf(space, topic, state.last_seq);
    let cutoff =
      total > maxMessages ? await this.#cutoff(subject, state.first_seq, settled + 1, maxMessages) : 0;
    if (isOld) cutoff = Math.max(cutoff, await firstSince(space, eldest));
    cutoff = Math.min(cutoff, settled + 1);
    if (cutoff > state.first_seq) await removeRecords(space, topic, cutoff);
  }

  /** Whether the first record of one of these subjects is older. */
  async #isOlder(subjects: readonly string[], than: number): Promise<boolean> {
    const { api, stream } = this.#space;
    const first = await Promise.all(subjects.map((subject) => api.next(stream, 1, subject)));
    return first.some((record) => record !== undefined && record.time < than);
  }

  /** The first number from which on there are no more than `most` records, looked for below `end`. */
  async #cutoff(subject: string, start: number, end: number, most: number): Promise<number> {
    let [low, high] = [start, end];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const { num_pending } = await this.#probe(subject, middle);
      if (num_pending <= most) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** What a consumer that started there would have before it. */
  async #probe(subject: string, from: number): ReturnType<typeof probe> {
    const name = `probe-${nuid.next()}`;
    const info = await probe(this.#space, name, subject, from);
    await deleteConsumer(this.#space, name);
    return info;
  }
}

function saysSomething({ maxAge, maxMessages }: Retention): Retention | undefined {
  if (maxAge === undefined && maxMessages === undefined) return undefined;
  return {
    ...(maxAge !== undefined && { maxAge }),
    ...(maxMessages !== undefined && { maxMessages }),
  };
}
