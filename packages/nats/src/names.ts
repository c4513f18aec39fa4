import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { type BusRecord, MAX_SEGMENTS } from '@ambus/core';

/**
 * What things are called on the server. Topics and prefixes are of letters, digits, `_`, `-` and dots, all of which
 * subjects allow, so nothing needs to be encoded.
 *
 * A durable record lies on `<prefix>.t.<class>.<topic>`. Its class is `n`, or its priority where that is not normal, or,
 * with a key, the key's lane: only so can a consumer take what is more urgent first, and one member a key's records in
 * their order.
 */

/** Lanes that keys are spread over. Publishers and consumers must agree on it, in any language. */
const LANES = 8;

export type RecordClass = 'n' | '0' | '1' | '3' | '4' | `k${number}`;

/** All classes but the plain one, the more urgent first. */
export const RARE_CLASSES: readonly RecordClass[] = [
  '0',
  '1',
  '3',
  '4',
  ...Array.from({ length: LANES }, (_, lane): RecordClass => `k${lane}`),
];

const NORMAL = 2;

export function classOf({ key, priority }: Pick<BusRecord, 'key' | 'priority'>): RecordClass {
  if (key !== undefined) return `k${crc32(key) % LANES}`;
  return priority === NORMAL ? 'n' : (String(priority) as RecordClass);
}

export const isLane = (recordClass: RecordClass): boolean => recordClass.startsWith('k');

/** The rank among the classes: smaller comes first. A key's records have none but the normal. */
export function rankOf(recordClass: RecordClass): number {
  return recordClass === 'n' || isLane(recordClass) ? NORMAL : Number(recordClass);
}

/** The subjects of one prefix. */
export class Names {
  readonly prefix: string;
  readonly #dataLength: number;
  #lastSubject = '';
  #lastTopic = '';

  constructor(prefix: string) {
    this.prefix = prefix;
    this.#dataLength = `${prefix}.t.`.length;
  }

  /** The messages. */
  get messages(): string {
    return `${this.prefix}.t.>`;
  }

  /** Delayed messages, and what the bus keeps for itself. */
  get own(): string[] {
    return [`${this.prefix}.s.>`, `${this.prefix}.m.>`];
  }

  /** Everything that is stored. */
  get stored(): string[] {
    return [this.messages, ...this.own];
  }

  data(recordClass: RecordClass | '*', topic: string): string {
    return `${this.prefix}.t.${recordClass}.${topic}`;
  }

  /** The topic of a stored record's subject. */
  topicOf(subject: string): string {
    if (subject !== this.#lastSubject) {
      this.#lastTopic = subject.slice(subject.indexOf('.', this.#dataLength) + 1);
      this.#lastSubject = subject;
    }
    return this.#lastTopic;
  }

  /** One delayed record: the server allows a subject one schedule. */
  schedule(recordClass: RecordClass | '*', topic: string, id: string, unique: string): string {
    return `${this.prefix}.s.${recordClass}.${hash(id)}.${unique}.${topic}`;
  }

  /** The class of a stored or delayed record's subject. */
  classOf(subject: string): RecordClass {
    return subject.slice(this.#dataLength, subject.indexOf('.', this.#dataLength)) as RecordClass;
  }

  /** The topic of a delayed record's subject, behind class, hash and number. */
  topicOfSchedule(subject: string): string {
    return subject.slice(this.#dataLength).split('.').slice(3).join('.');
  }

  /** All delayed records of a class on topics. */
  schedules(recordClass: RecordClass | '*', topic: string): string {
    return `${this.prefix}.s.${recordClass}.*.*.${topic}`;
  }

  ephemeral(topic: string): string {
    return `${this.prefix}.e.${topic}`;
  }

  request(topic: string): string {
    return `${this.prefix}.q.${topic}`;
  }

  /** The topic of an ephemeral record's or a request's subject. */
  topicOfFlight(subject: string): string {
    if (subject !== this.#lastSubject) {
      this.#lastTopic = subject.slice(this.prefix.length + 3);
      this.#lastSubject = subject;
    }
    return this.#lastTopic;
  }

  /** Where buses tell each other which topics were deleted. */
  get news(): string {
    return `${this.prefix}.a`;
  }

  /** Where the members of a group talk to each other. */
  talk(consumer: string): string {
    return `${this.prefix}.g.${consumer}`;
  }

  /** Says that a topic exists. */
  topicMark(topic: string): string {
    return `${this.prefix}.m.topic.${topic}`;
  }

  topicOfMark(subject: string): string {
    return subject.slice(`${this.prefix}.m.topic.`.length);
  }

  /** How often a delivery of one record was given back unhandled. */
  released(consumer: string, seq: number | '*'): string {
    return `${this.prefix}.m.released.${consumer}.${seq}`;
  }

  /** Who has a lane. */
  lane(consumer: string): string {
    return `${this.prefix}.m.lane.${consumer}`;
  }

  /** That a member is up. */
  member(consumer: string, member: string): string {
    return `${this.prefix}.m.member.${consumer}.${member}`;
  }
}

/** Short, and as good as unique. */
export function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 20);
}

/** A group's consumer on the server; of a rare class `<this>-<class>`. */
export function consumerName(pattern: string, group: string): string {
  return `${group}-${hash(`${group} ${pattern}`)}`;
}

/** The queue that the members of a group on an ephemeral pattern share. */
export function queueName(pattern: string, group: string): string {
  return consumerName(pattern, group);
}

/** What is before and after a pattern's first `#`. */
function aroundHash(pattern: string): { readonly head: string[]; readonly tail: string[] } | undefined {
  const segments = pattern.split('.');
  const first = segments.indexOf('#');
  return first < 0 ? undefined : { head: segments.slice(0, first), tail: segments.slice(first + 1) };
}

/**
 * The subjects that a pattern's topics have after their start. They match no more than the pattern does where it has one
 * `#`; with several they may match more. None overlaps another: the server refuses that.
 */
export function subjectsOf(pattern: string): string[] {
  const parts = aroundHash(pattern);
  if (parts === undefined || parts.tail.length === 0 || parts.tail.includes('#'))
    return fewSubjectsOf(pattern);
  const { head, tail } = parts;
  const most = MAX_SEGMENTS - head.length - tail.length;
  return Array.from({ length: most + 1 }, (_, between) =>
    [...head, ...Array<string>(between).fill('*'), ...tail].join('.'),
  );
}

/** As `subjectsOf`, in one or two, which match more where something stands behind the `#`. */
export function fewSubjectsOf(pattern: string): string[] {
  const parts = aroundHash(pattern);
  if (parts === undefined) return [pattern];
  const all = [...parts.head, '>'].join('.');
  return parts.head.length === 0 || isSomethingIn(parts.tail) ? [all] : [parts.head.join('.'), all];
}

/** Whether these subjects of the pattern match more than it does. */
export function matchMore(subjects: readonly string[], pattern: string): boolean {
  return isSomethingIn(aroundHash(pattern)?.tail ?? []) && subjects.some((subject) => subject.endsWith('>'));
}

const isSomethingIn = (tail: readonly string[]): boolean => tail.some((segment) => segment !== '#');
