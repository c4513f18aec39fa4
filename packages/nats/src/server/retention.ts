import type { Retention } from '@ambus/core';
import { nuid } from 'nats';
import type { LinkListener } from '../link/contracts.ts';
import { firstSince } from './consumers.ts';
import { deleteConsumer } from './delete-consumer.ts';
import { probe } from './other-consumers.ts';
import { removeRecords } from './removal.ts';
import { settledOf } from './settled.ts';
import type { Space } from './space.ts';
import { saidOf, toldOf } from './topic-mark.ts';

/** Kept where a topic says nothing: enough to look back. */
const DEFAULT: Retention = Object.freeze({ maxMessages: 10_000 });

/** Of what is kept, the share that may be there beyond it, or be older, before it is trimmed by who publishes. */
const SLACK = 0.1;
/** The same for who only consumes: where those that publish trim, they come first. */
const WIDE_SLACK = 0.2;
/** Milliseconds after which a topic is trimmed for less. */
const AT_LEAST_EVERY = 60_000;
/** Topics that are remembered of what has come. */
const MOST = 10_000;
/** Records that a bus which closes removes of a topic. */
const LAST = 1_000;

/**
 * Removes what is beyond a topic's retention and settled by every group. JetStream's own limits would also remove what is
 * not settled, so the buses see to it themselves: those that publish, and for others that may not, those that consume.
 */
export class Trimmer implements LinkListener {
  readonly #space: Space;
  /** Records published since the last trim, and when that was; who waits longest comes first. */
  readonly #published = new Map<string, { count: number; trimmed: number }>();
  /** When a topic that this bus only consumes is to be looked at. */
  readonly #consumed = new Map<string, number>();
  #trimming: Promise<unknown> | undefined;

  constructor(space: Space) {
    this.#space = space;
  }

  published(topic: string): void {
    const found = this.#published.get(topic);
    if (found === undefined) this.#begin(topic);
    else found.count++;
  }

  /** At a random place of the way to the first trim: so of many programs that publish a little and end, some get there. */
  #begin(topic: string): void {
    const { count, wait } = this.#slackOf(topic);
    const part = Math.random();
    this.#published.set(topic, {
      count: 1 + (Number.isFinite(count) ? part * count : 0),
      trimmed: Date.now() - part * wait,
    });
  }

  /** A record has come, of whatever stands in its subject: those that publish it may not be allowed to trim. */
  consumed(topic: string): void {
    if (this.#consumed.has(topic) || this.#published.has(topic)) return;
    if (!this.#mayTrim || this.#consumed.size >= MOST) return;
    this.#consumed.set(topic, Date.now() + Math.random() * AT_LEAST_EVERY);
  }

  tick(now: number): void {
    if (this.#trimming !== undefined || !this.#mayTrim || !this.#space.link.canSend) return;
    const trimming = this.#trimDue(now);
    this.#trimming = trimming
      ?.catch(() => {})
      .finally(() => {
        this.#trimming = undefined;
      });
  }

  #trimDue(now: number): Promise<unknown> | undefined {
    const topic = this.#due(now);
    if (topic !== undefined) return this.trim(topic);
    for (const [consumed, due] of this.#consumed) if (now >= due) return this.#visit(consumed);
    return undefined;
  }

  /** The bus is about to end: what is due of what it publishes to is trimmed. */
  async close(): Promise<void> {
    const now = Date.now();
    await this.#trimming;
    while (this.#mayTrim && this.#space.link.canSend) {
      const topic = this.#due(now);
      if (topic === undefined) return;
      await this.trim(topic, LAST).catch(() => {});
    }
  }

  /** A work queue keeps nothing that is settled, and takes no consumer that only looks. */
  get #mayTrim(): boolean {
    return this.#space.mayCreate && this.#space.streams.retention !== 'workqueue';
  }

  #due(now: number): string | undefined {
    for (const [topic, published] of this.#published) {
      const { count, wait } = this.#slackOf(topic);
      if (published.count > count || now - published.trimmed >= wait) return topic;
    }
    return undefined;
  }

  /** Records after which a topic is trimmed, and milliseconds. */
  #slackOf(topic: string): { count: number; wait: number } {
    const { maxAge = Number.POSITIVE_INFINITY, maxMessages = Number.POSITIVE_INFINITY } =
      saidOf(this.#space, topic) ?? DEFAULT;
    return { count: maxMessages * SLACK, wait: Math.min(maxAge * SLACK, AT_LEAST_EVERY) };
  }

  /** By what this bus trims the topic, if it publishes to it. */
  async retentionOf(topic: string): Promise<Retention> {
    return saidOf(this.#space, topic) ?? (await toldOf(this.#space, topic)) ?? DEFAULT;
  }

  /**
   * Before a topic is looked at, so that what is seen is what is retained. Who only looks, and says nothing of the topic,
   * removes nothing: those that publish may keep more than the default.
   */
  async look(topic: string): Promise<void> {
    if (this.#published.has(topic) || saidOf(this.#space, topic) !== undefined) await this.trim(topic);
  }

  /**
   * Trims a topic that this bus only consumes by what those told that may create. Its own rule does not count, nor the
   * default: those that publish may keep more.
   */
  async #visit(topic: string): Promise<void> {
    this.#consumed.delete(topic);
    const told = await toldOf(this.#space, topic);
    if (told === undefined) return;
    const left = await this.#remove(topic, told, WIDE_SLACK);
    // What is there grows older without any publish.
    if (left > 0 && told.maxAge !== undefined) this.#consumed.set(topic, Date.now() + AT_LEAST_EVERY);
  }

  /** @param most - removes no more than so many, one by one, which disturbs no consumer */
  async trim(topic: string, most?: number): Promise<void> {
    if (!this.#mayTrim) return;
    const published = this.#published.get(topic) ?? { count: 0, trimmed: 0 };
    const wasIdle = published.count === 0;
    published.count = 0;
    published.trimmed = Date.now();
    this.#published.delete(topic);
    this.#published.set(topic, published);
    const rule = await this.retentionOf(topic);
    const left = await this.#remove(topic, rule, 0, most);
    const isDone = wasIdle && published.count === 0 && (rule.maxAge === undefined || left === 0);
    if (isDone) this.#published.delete(topic);
  }

  /**
   * @param slack - the share that may be there beyond the rule
   * @returns records that were there
   */
  async #remove(topic: string, rule: Retention, slack: number, most?: number): Promise<number> {
    const space = this.#space;
    const { maxAge, maxMessages = Number.POSITIVE_INFINITY } = rule;
    const subject = space.names.data('*', topic);
    const { state } = await space.info(subject);
    const subjects = Object.keys(state.subjects ?? {});
    const total = Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
    const now = Date.now();
    const isOld = maxAge !== undefined && (await this.#isOlder(subjects, now - maxAge * (1 + slack)));
    const areMany = total > maxMessages * (1 + slack);
    if (!areMany && !isOld) return total;
    const settled = await settledOf(space, topic, state.last_seq);
    let cutoff = areMany ? await this.#cutoff(subject, state.first_seq, settled + 1, maxMessages) : 0;
    if (isOld) cutoff = Math.max(cutoff, await firstSince(space, now - maxAge));
    cutoff = Math.min(cutoff, settled + 1);
    if (cutoff <= state.first_seq) return total;
    if (most === undefined) await removeRecords(space, topic, cutoff);
    else await space.removeEach(space.stream, subject, 1, cutoff, most);
    return total;
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
