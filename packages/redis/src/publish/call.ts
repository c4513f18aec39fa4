import type { BusRecord } from '@ambus/core';
import type { Arg } from '../driver/encode.ts';
import { streamName } from '../keys.ts';
import { encodeMeta } from '../wire/encode.ts';
import type { Kind } from '../wire/entry.ts';
import { encodeFrame, LARGE } from '../wire/frame.ts';

/** One operation of the script: the records in it fail together. */
interface Operation {
  readonly head: Arg[];
  readonly args: Arg[];
  /** Places of its records in the list that core gave. */
  readonly indexes: number[];
  readonly countAt: number;
  /** What it adds to; undefined for what is not just added to a stream. */
  readonly stream: string | undefined;
  readonly topic: string;
  readonly kind: Kind;
}

/** What becomes of the records of a call: nothing, or reasons by index. */
export type Refusals = readonly (readonly [indexes: readonly number[], reason: string])[];

/** The records of one publish that go to one shard in one script. */
export class Call {
  readonly tag: string;
  /** Or only sent: a call has one kind or the other. */
  readonly isStored: boolean;
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  /** How many records are in it, and about how many bytes. */
  size = 0;
  bytes = 0;
  /** Place in its line; 0 while it is not sent. */
  number = 0;
  settled = false;
  readonly answered: PromiseWithResolvers<Refusals> = Promise.withResolvers();
  readonly #operations: Operation[] = [];
  #open = new Map<string, Operation>();
  #last: Operation | undefined;
  #lastTopic = '';
  #lastKind: Kind = '2';

  constructor(tag: string, isStored: boolean, deadline: number) {
    this.tag = tag;
    this.isStored = isStored;
    this.deadline = deadline;
  }

  /** @param limits - what a topic that has to be made keeps: most messages and milliseconds, or nothing */
  add(record: BusRecord, index: number, limits: (topic: string) => readonly [Arg, Arg]): void {
    const { topic, channel } = record;
    this.size++;
    this.bytes += record.body.byteLength;
    if (channel !== 'durable') {
      const letter = channel === 'ephemeral' ? 'e' : channel === 'request' ? 'q' : 'r';
      const frame = encodeFrame(record);
      const isLarge = frame.byteLength >= LARGE;
      this.#single([isLarge ? letter.toUpperCase() : letter, topic, frame], index, topic);
      return;
    }
    const { key, deduplicationKey, deliverAt } = record;
    const kind: Kind = key === undefined ? (String(record.priority) as Kind) : 'k';
    if (deduplicationKey !== undefined || deliverAt !== undefined) {
      // What follows in its key must not go before it.
      this.#open = new Map();
      this.#last = undefined;
      const [most, age] = limits(topic);
      const head = [
        'x',
        topic,
        most,
        age,
        kind,
        key ?? '',
        deduplicationKey ?? '',
        deliverAt ?? '',
        record.id,
        encodeMeta(record, false),
        record.body,
      ];
      this.#single(head, index, topic);
      return;
    }
    const operation = this.#operation(topic, kind, limits);
    operation.indexes.push(index);
    if (key !== undefined) operation.args.push(key);
    operation.args.push(encodeMeta(record, false), record.body);
  }

  #operation(topic: string, kind: Kind, limits: (topic: string) => readonly [Arg, Arg]): Operation {
    if (this.#last !== undefined && topic === this.#lastTopic && kind === this.#lastKind) return this.#last;
    const name = kind + topic;
    let operation = this.#open.get(name);
    if (operation === undefined) {
      const [most, age] = limits(topic);
      const head = kind === 'k' ? ['k', topic, most, age, 0] : ['a', topic, most, age, kind, 0];
      const stream = streamName(this.tag, topic, kind);
      operation = { head, args: [], indexes: [], countAt: head.length - 1, stream, topic, kind };
      this.#open.set(name, operation);
      this.#operations.push(operation);
    }
    this.#last = operation;
    this.#lastTopic = topic;
    this.#lastKind = kind;
    return operation;
  }

  #single(head: Arg[], index: number, topic: string): void {
    this.#operations.push({
      head,
      args: [],
      indexes: [index],
      countAt: -1,
      stream: undefined,
      topic,
      kind: '2',
    });
  }

  /** Streams that it adds to and how much to each; undefined where it does something else besides. */
  streams(): ReadonlyMap<string, number> | undefined {
    const counts = new Map<string, number>();
    for (const { stream, indexes } of this.#operations) {
      if (stream === undefined) return undefined;
      counts.set(stream, (counts.get(stream) ?? 0) + indexes.length);
    }
    return counts;
  }

  /** Most messages of the topic of each stream that it adds to, as far as this bus says. */
  *limits(): Generator<readonly [stream: string, most: number | undefined]> {
    for (const { stream, head } of this.#operations) {
      if (stream !== undefined) yield [stream, head[2] === '' ? undefined : Number(head[2])];
    }
  }

  /** Places of all its records. */
  indexes(): number[] {
    return this.#operations.flatMap((operation) => operation.indexes);
  }

  /** The operations as arguments of the script, after its own. */
  args(before: readonly Arg[]): Arg[] {
    const all = [...before];
    this.appendTo(all);
    return all;
  }

  appendTo(all: Arg[]): void {
    for (const { head, args, indexes, countAt } of this.#operations) {
      if (countAt >= 0) head[countAt] = indexes.length;
      for (const arg of head) all.push(arg);
      for (const arg of args) all.push(arg);
    }
  }

  /** As `args`, for the script that only adds. */
  plainArgs(before: readonly Arg[], root: string): Arg[] {
    const all = [...before];
    for (const { stream, topic, kind, args, indexes } of this.#operations) {
      const bell = kind === '2' ? 'b:' : 'B:';
      all.push(stream!, root + bell + topic, kind, indexes.length, kind === 'k' ? 3 : 2);
      for (const arg of args) all.push(arg);
    }
    return all;
  }

  /** @param reply - places and reasons, alternating; nothing when all was taken */
  accept(reply: unknown): void {
    const refusals: (readonly [readonly number[], string])[] = [];
    const list: readonly unknown[] = Array.isArray(reply) ? reply : [];
    for (let at = 0; at < list.length; at += 2) {
      refusals.push([this.#operations[Number(list[at])]!.indexes, String(list[at + 1])]);
    }
    this.#settle(refusals);
  }

  #settle(refusals: Refusals): void {
    if (this.settled) return;
    this.settled = true;
    this.answered.resolve(refusals);
  }

  fail(error: unknown): void {
    if (this.settled) return;
    this.settled = true;
    this.answered.reject(error);
  }
}
