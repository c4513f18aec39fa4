import { AsyncLocalStorage } from 'node:async_hooks';
import type { Admin, StoredRecord } from '../broker.ts';
import { checkArgument, checkOptions, date, integer, type Spec, text, without } from '../config/check.ts';
import type { Core } from '../core.ts';
import type { BusRecord, Headers } from '../envelope/record.ts';
import { UnsupportedError, ValidationError } from '../errors.ts';
import { headers } from '../publish/options.ts';
import { decode } from '../subscribe/decode.ts';
import { IncomingMessage, type MessageOwner } from '../subscribe/message.ts';
import { group } from '../subscribe/options.ts';
import { rememberingMatcher } from '../topic/pattern.ts';
import { patternProblem, topicProblem } from '../topic/topic.ts';
import { consumerId, type DeadLetterInfo, readInfo, toReplay } from './record.ts';

/** A message that failed for good. */
// biome-ignore lint/suspicious/noExplicitAny: untyped as a message's data is
export interface DeadLetter<T = any> extends Omit<DeadLetterInfo, 'time'> {
  /** The dead letter's own id, for `get`, `replay` and `discard`; the message's is `messageId`. */
  readonly id: string;
  /** When it failed for good. */
  readonly time: Date;
  /** When it was published. */
  readonly publishedAt: Date;
  /** The payload; undefined where it cannot be decoded. */
  readonly data: T;
  /** The payload as it came. */
  readonly body: Uint8Array;
  readonly headers: Headers;
  readonly key: string | undefined;
  readonly contentType: string | undefined;
  readonly correlationId: string | undefined;
}

/** Which dead letters; all conditions must hold. */
export interface DeadLetterFilter {
  /** Topic, or pattern, that they were published to. */
  readonly topic?: string | undefined;
  readonly group?: string | undefined;
  readonly reason?: string | undefined;
  /** Failed at this time or later. */
  readonly since?: Date | undefined;
  /** Failed before this time. */
  readonly until?: Date | undefined;
  /** Anything else. */
  readonly where?: ((letter: DeadLetter) => boolean) | undefined;
  /** Another dead-letter topic than the bus's. */
  readonly deadLetterTopic?: string | undefined;
}

/** A filter and a page. */
export interface ListOptions extends DeadLetterFilter {
  /** Most items, 1 to 1,000. Default 50. */
  readonly limit?: number | undefined;
  /** From the page before. */
  readonly cursor?: string | undefined;
}

/** Where letters lie. */
interface Place {
  /** Another dead-letter topic than the bus's; the same as in a filter. */
  readonly deadLetterTopic?: string | undefined;
}

/** What takes the place of a letter's own. */
export interface Edited {
  readonly data?: unknown;
  readonly headers?: Headers | undefined;
}

/** What a replay changes. */
export interface ReplayOptions extends Place {
  /**
   * Returns what is to be replayed in a letter's place: what it leaves out stays as it was. It cannot call `replay` or
   * `discard` itself, which wait for each other; `where` leaves a letter out.
   */
  readonly edit?: ((letter: DeadLetter) => Edited | undefined | Promise<Edited | undefined>) | undefined;
}

/** One page. */
// biome-ignore lint/suspicious/noExplicitAny: untyped as a message's data is
export interface DeadLetterPage<T = any> {
  readonly items: readonly DeadLetter<T>[];
  /** For the next page; undefined at the end. */
  readonly cursor: string | undefined;
}

/** Records that are read at a time while looking through the topic. */
const SCAN = 200;

const pattern = without(patternProblem);
const topic = without(topicProblem);
const where = (value: unknown): string | undefined =>
  typeof value === 'function' ? undefined : 'a function';

const FILTER_SPEC: Spec<DeadLetterFilter> = {
  topic: pattern,
  group,
  reason: text(),
  since: date,
  until: date,
  where,
  deadLetterTopic: topic,
};
const LIST_SPEC: Spec<ListOptions> = { ...FILTER_SPEC, limit: integer(1, 1_000), cursor: text(4_096) };
const PLACE_SPEC: Spec<Place> = { deadLetterTopic: topic };
const EDITED_SPEC: Spec<Edited> = { data: () => undefined, headers };
const REPLAY_SPEC: Spec<ReplayOptions> = { edit: where, deadLetterTopic: topic };

const NO_OWNER = { group: undefined } as MessageOwner;

/** The filter for an id, or a filter, and a place that was named beside it. */
function chosen(which: string | DeadLetterFilter, { deadLetterTopic }: Place): DeadLetterFilter {
  if (typeof which === 'string') return { where: (letter) => letter.id === which, deadLetterTopic };
  if (deadLetterTopic === undefined) return which;
  if (which.deadLetterTopic !== undefined && which.deadLetterTopic !== deadLetterTopic) {
    throw new ValidationError(
      `option "deadLetterTopic" is given twice: "${which.deadLetterTopic}" in the filter and "${deadLetterTopic}" beside it`,
    );
  }
  return { ...which, deadLetterTopic };
}

function checkWhich(which: string | DeadLetterFilter): void {
  if (typeof which === 'string') checkArgument('the dead letter id', which, text(256));
  else checkOptions('dead letters option', which, FILTER_SPEC);
}

/** Puts an edited message together and sends it to the consumer that failed. */
export type Resend = (record: BusRecord, edited: Edited | undefined) => Promise<void>;

interface Found {
  readonly letter: DeadLetter;
  readonly stored: StoredRecord;
  readonly info: DeadLetterInfo;
}

/** The messages that failed for good: look at them, try them again, throw them away. */
export class DeadLetters {
  readonly #core: Core;
  readonly #ready: () => Promise<void>;
  readonly #resend: Resend;
  #queue: Promise<unknown> = Promise.resolve();
  /** For what an `edit` calls: whether it still runs. */
  readonly #editing = new AsyncLocalStorage<{ runs: boolean }>();

  /** @param ready - connects the bus where it is not */
  constructor(core: Core, ready: () => Promise<void>, resend: Resend) {
    this.#core = core;
    this.#ready = ready;
    this.#resend = resend;
  }

  /**
   * One page, oldest first. A page may be shorter than `limit` only at the end.
   *
   * @throws {ValidationError} for a wrong option, or where dead letters are off and no `deadLetterTopic` is named
   * @throws {UnsupportedError} where `capabilities.browse` is `none`
   * @throws {ConnectionError | ClosedError}
   */
  async list(options: ListOptions = {}): Promise<DeadLetterPage> {
    checkOptions('dead letters option', options, LIST_SPEC);
    const { limit = 50, cursor, ...filter } = options;
    const items: DeadLetter[] = [];
    let next = cursor;
    const admin = await this.#admin();
    const accepts = this.#compile(filter);
    do {
      // Never reads past what it returns, so that the cursor is exact.
      const page = await admin.browse(this.#topic(filter), next, limit - items.length);
      for (const stored of page.records) {
        const found = await this.#open(stored);
        if (found !== undefined && accepts(found.letter)) items.push(found.letter);
      }
      next = page.cursor;
    } while (next !== undefined && items.length < limit);
    return { items, cursor: next };
  }

  /**
   * One dead letter; undefined when there is none of this id.
   *
   * @throws {ValidationError | UnsupportedError | ConnectionError | ClosedError} as `list`
   */
  async get(id: string, options: Place = {}): Promise<DeadLetter | undefined> {
    checkArgument('the dead letter id', id, text(256));
    checkOptions('dead letters option', options, PLACE_SPEC);
    for await (const [{ letter }] of this.#scan(chosen(id, options))) return letter;
    return undefined;
  }

  /**
   * Gives dead letters back to the consumer that failed at them, as new: attempt 1. Each is removed when it is sent. Other
   * groups and patterns on the topic do not see it again. One of a live subscription goes to the live subscriptions of its
   * pattern that are up.
   *
   * @param which - an id, or a filter for many
   * @returns how many
   * @throws {ValidationError} when an id is not there, or a letter's group no longer exists: it stays then
   * @throws what `edit` throws, and what `list` and `publish` reject with
   */
  async replay(which: string | DeadLetterFilter, options: ReplayOptions = {}): Promise<number> {
    checkOptions('replay option', options, REPLAY_SPEC);
    checkWhich(which);
    const { edit } = options;
    const known = new Map<string, Promise<boolean>>();
    return this.#inTurn(() =>
      this.#remove(which, options, async ({ letter, stored, info }) => {
        if (info.group !== undefined && !(await this.#exists(info.pattern, info.group, known))) {
          throw new ValidationError(
            `dead letter "${letter.id}" cannot be replayed: group "${info.group}" of "${info.pattern}" no longer exists`,
            { topic: info.topic },
          );
        }
        const edited = await (edit && this.#edit(edit, letter));
        if (edited !== undefined) checkOptions('edited option', edited, EDITED_SPEC);
        const channel = this.#core.decoding.topics.get(info.topic).channel;
        await this.#resend(toReplay(stored.record, info, channel), edited);
      }),
    );
  }

  /**
   * Throws dead letters away.
   *
   * @param which - an id, or a filter for many; `{}` is all
   * @returns how many
   * @throws {ValidationError} when an id is not there
   * @throws {UnsupportedError | ConnectionError | ClosedError} as `list`
   */
  async discard(which: string | DeadLetterFilter, options: Place = {}): Promise<number> {
    checkOptions('dead letters option', options, PLACE_SPEC);
    checkWhich(which);
    return this.#inTurn(() => this.#remove(which, options));
  }

  /** Whether the group is there, as far as the broker can say. Asked for once a replay. */
  async #exists(pattern: string, group: string, known: Map<string, Promise<boolean>>): Promise<boolean> {
    const admin = await this.#admin();
    if (this.#core.broker.capabilities.admin === 'none') return true;
    const id = consumerId(pattern, group);
    const exists = known.get(id) ?? admin.group(pattern, group).then((info) => info !== undefined);
    known.set(id, exists);
    return exists;
  }

  async #edit(edit: NonNullable<ReplayOptions['edit']>, letter: DeadLetter): Promise<Edited | undefined> {
    const editing = { runs: true };
    try {
      return await this.#editing.run(editing, () => edit(letter));
    } finally {
      // What it has started may live longer.
      editing.runs = false;
    }
  }

  /** One after the other: two at once would act on the same letters. */
  async #inTurn<T>(act: () => Promise<T>): Promise<T> {
    if (this.#editing.getStore()?.runs) {
      throw new ValidationError(
        'dead letters cannot be replayed or discarded inside the "edit" of a replay, which would wait for itself',
      );
    }
    const done = this.#queue.then(act);
    this.#queue = done.catch(() => {});
    return done;
  }

  /** Removes letters, each after `act`. Without one they are removed by pages. */
  async #remove(
    which: string | DeadLetterFilter,
    place: Place,
    act?: (found: Found) => Promise<void>,
  ): Promise<number> {
    const filter = chosen(which, place);
    const topic = this.#topic(filter);
    const admin = await this.#admin();
    // What fails again while this runs comes back with a later time: without a bound it would go round for ever. Not so one
    // letter, and who wrote it may have a clock that is ahead.
    const until =
      filter.until ?? (typeof which === 'string' ? undefined : new Date(this.#core.clock.now() + 1));
    let count = 0;
    for await (const found of this.#scan({ ...filter, until })) {
      const page = typeof which === 'string' ? found.slice(0, 1) : found;
      if (act === undefined) {
        count += await admin.remove(
          topic,
          page.map(({ stored }) => stored.position),
        );
      } else {
        for (const one of page) {
          await act(one);
          // Another process may have been faster.
          count += await admin.remove(topic, [one.stored.position]);
        }
      }
      if (typeof which === 'string') break;
    }
    if (typeof which === 'string' && count === 0) {
      throw new ValidationError(`there is no dead letter "${which}" in "${topic}"`);
    }
    return count;
  }

  /**
   * Pages of what the filter accepts, none of them empty. Ids are ordered by time on most brokers, but not by promise: all
   * are looked at.
   */
  async *#scan(filter: DeadLetterFilter): AsyncGenerator<[Found, ...Found[]]> {
    const admin = await this.#admin();
    const accepts = this.#compile(filter);
    let cursor: string | undefined;
    do {
      const page = await admin.browse(this.#topic(filter), cursor, SCAN);
      const accepted: Found[] = [];
      for (const stored of page.records) {
        const found = await this.#open(stored);
        if (found !== undefined && accepts(found.letter)) accepted.push(found);
      }
      const [first, ...rest] = accepted;
      if (first !== undefined) yield [first, ...rest];
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  async #open(stored: StoredRecord): Promise<Found | undefined> {
    const info = readInfo(stored.record);
    if (info === undefined) return undefined;
    const message = new IncomingMessage({ record: stored.record, attempt: 1, native: undefined }, NO_OWNER);
    try {
      await decode(message, this.#core.decoding);
    } catch {
      // Undecodable bytes are one reason to lie here.
    }
    const { error, reason, attempts, topic, pattern, messageId } = info;
    const letter: DeadLetter = {
      id: message.id,
      messageId,
      reason,
      error,
      attempts,
      topic,
      pattern,
      group: info.group,
      time: new Date(info.time),
      publishedAt: message.time,
      data: message.data,
      body: message.body,
      headers: message.headers,
      key: message.key,
      contentType: message.contentType,
      correlationId: message.correlationId,
    };
    return { letter, stored, info };
  }

  #compile(filter: DeadLetterFilter): (letter: DeadLetter) => boolean {
    const matches = filter.topic === undefined ? undefined : rememberingMatcher(filter.topic);
    return (letter) =>
      (matches === undefined || matches(letter.topic)) &&
      (filter.group === undefined || filter.group === letter.group) &&
      (filter.reason === undefined || filter.reason === letter.reason) &&
      (filter.since === undefined || letter.time >= filter.since) &&
      (filter.until === undefined || letter.time < filter.until) &&
      (filter.where === undefined || filter.where(letter));
  }

  #topic(filter: DeadLetterFilter): string {
    const topic =
      filter.deadLetterTopic ?? (this.#core.deadLetter === false ? undefined : this.#core.deadLetter.topic);
    if (topic === undefined)
      throw new ValidationError('dead letters are off ("deadLetter: false"); name a "deadLetterTopic"');
    return topic;
  }

  async #admin(): Promise<Admin> {
    await this.#ready();
    const { broker } = this.#core;
    if (broker.admin === undefined || broker.capabilities.browse === 'none') {
      throw new UnsupportedError(`${broker.name} does not offer browse, which dead letters need`, {
        broker: broker.name,
      });
    }
    return broker.admin;
  }
}
