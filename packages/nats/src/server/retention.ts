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

/**
 * Removes what is beyond a topic's retention and settled by every group. JetStream's own limits would also remove what is
 * not settled, so the buses that publish see to it themselves.
 */
export class Trimmer implements LinkListener {
  readonly #space: Space;
  /** Records published since the last trim, and when that was; who waits longest comes first. */
  readonly #published = new Map<string, { count: number; trimmed: number }>();
  #busy = false;

  constructor(space: Space) {
    this.#space = space;
  }

  published(topic: string): void {
    const found = this.#published.get(topic);
    if (found === undefined) this.#published.set(topic, { count: 1, trimmed: Date.now() });
    else found.count++;
  }

  tick(now: number): void {
    if (this.#busy || !this.#space.mayCreate || !this.#space.link.canSend) return;
    for (const [topic, { count, trimmed }] of this.#published) {
      const { maxAge = Number.POSITIVE_INFINITY, maxMessages = Number.POSITIVE_INFINITY } =
        this.#ruleOf(topic) ?? DEFAULT;
      const isDue = now - trimmed >= Math.min(maxAge * SLACK, AT_LEAST_EVERY);
      if (!isDue && count <= maxMessages * SLACK) continue;
      this.#busy = true;
      this.trim(topic)
        .catch(() => {})
        .finally(() => {
          this.#busy = false;
        });
      return;
    }
  }

  /** What this bus says of the topic. */
  #ruleOf(topic: string): Retention | undefined {
    return saysSomething(this.#space.retentionOf(topic));
  }

  /** Where this bus says nothing, what the one said that made the topic. */
  async #retentionOf(topic: string): Promise<Retention> {
    return this.#ruleOf(topic) ?? saysSomething(await this.#space.retentionWhenMade(topic)) ?? DEFAULT;
  }

  /**
   * Before a topic is looked at, so that what is seen is what is retained. Who only looks, and says nothing of the topic,
   * removes nothing: those that publish may keep more than the default.
   */
  async look(topic: string): Promise<void> {
    if (this.#published.has(topic) || this.#ruleOf(topic) !== undefined) await this.trim(topic);
  }

  async trim(topic: string): Promise<void> {
    const space = this.#space;
    // A work queue keeps nothing that is settled, and takes no consumer that only looks.
    if (!space.mayCreate || space.streams.retention === 'workqueue') return;
    const published = this.#published.get(topic) ?? { count: 0, trimmed: 0 };
    published.count = 0;
    published.trimmed = Date.now();
    this.#published.delete(topic);
    this.#published.set(topic, published);
    const subject = space.names.data('*', topic);
    const { state } = await space.info(subject);
    const subjects = Object.entries(state.subjects ?? {});
    const total = subjects.reduce((sum, [, count]) => sum + count, 0);
    const { maxAge, maxMessages = Number.POSITIVE_INFINITY } = await this.#retentionOf(topic);
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
      if (isDone && published.count === 0) this.#published.delete(topic);
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
  return maxAge === undefined && maxMessages === undefined ? undefined : { maxAge, maxMessages };
}
