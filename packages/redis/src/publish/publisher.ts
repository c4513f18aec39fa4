import {
  type BrokerHost,
  type BusError,
  type BusRecord,
  ClosedError,
  ConfigError,
  isLiteral,
  MessageTooLargeError,
  NoRespondersError,
  PublishError,
  type PublishFailure,
  TimeoutError,
} from '@ambus/core';
import type { Arg } from '../driver/encode.ts';
import { toBusError } from '../errors.ts';
import type { Names } from '../keys.ts';
import { Call, type Refusals } from './call.ts';
import { Caster } from './caster.ts';
import { Line, type LineSettings } from './line.ts';

/** Kept of a topic about which nothing is said: enough to look back, and too little to fill a server. */
export const DEFAULT_MAX_MESSAGES = 10_000;

/** Records in one script: while the server works on these, the next are made. */
const CALL_SIZE = 128;
/** The same of requests and answers: who gets the first of them works while the rest is on its way. */
const ASKED_SIZE = 32;
/** Bytes that are enough for one: the server reads it as a whole, and has a limit for that. */
const CALL_BYTES = 8 * 1024 * 1024;

/** What is not stored goes by itself: a number to keep would be a write for nothing. */
const wayOf = ({ tag, isStored }: Pick<Call, 'tag' | 'isStored'>): string => (isStored ? tag : `!${tag}`);

/** Puts records on their way: stored ones in lines, the others as they come. */
export class Publisher {
  readonly #host: BrokerHost;
  readonly #names: Names;
  readonly #settings: LineSettings;
  readonly #maxBytes: number;
  readonly #lines = new Map<string, Line>();
  readonly #casters = new Map<string, Caster>();
  readonly #limitsOf = (topic: string): readonly [Arg, Arg] => limitsOf(this.#host, topic);

  constructor(host: BrokerHost, names: Names, settings: LineSettings, maxBytes: number) {
    this.#host = host;
    this.#names = names;
    this.#settings = settings;
    this.#maxBytes = maxBytes;
  }

  publish(records: readonly BusRecord[], deadline: number): Promise<void> {
    if (this.#host.clock.now() >= deadline) {
      return Promise.reject(new TimeoutError('the deadline of this publish has passed', { broker: 'redis' }));
    }
    const calls: Call[] = [];
    const open = new Map<string, Call>();
    let failures: PublishFailure[] | undefined;
    for (let index = 0; index < records.length; index++) {
      const record = records[index]!;
      if (record.body.byteLength > this.#maxBytes) {
        failures ??= [];
        failures.push({ index, error: tooLarge(record, this.#maxBytes) });
        continue;
      }
      const call = this.#call(open, calls, record, deadline);
      call.add(record, index, this.#limitsOf);
      const isAsked = record.channel === 'request' || record.channel === 'reply';
      if (call.size >= (isAsked ? ASKED_SIZE : CALL_SIZE) || call.bytes >= CALL_BYTES) {
        this.#send(call);
        open.delete(wayOf(call));
      }
    }
    for (const call of open.values()) this.#send(call);
    return this.#outcome(calls, records, failures);
  }

  #send(call: Call): void {
    if (call.isStored) this.#line(call.tag).push(call);
    else this.#caster(call.tag).push(call);
  }

  #caster(tag: string): Caster {
    let caster = this.#casters.get(tag);
    if (caster === undefined) {
      caster = new Caster(tag, this.#settings);
      this.#casters.set(tag, caster);
    }
    return caster;
  }

  #call(open: Map<string, Call>, all: Call[], { channel, topic }: BusRecord, deadline: number): Call {
    const tag = channel === 'reply' ? this.#names.tags[0]! : this.#names.tagOf(topic);
    const isStored = channel === 'durable';
    const way = wayOf({ tag, isStored });
    let call = open.get(way);
    if (call === undefined) {
      call = new Call(tag, isStored, deadline);
      open.set(way, call);
      all.push(call);
    }
    return call;
  }

  #line(tag: string): Line {
    let line = this.#lines.get(tag);
    if (line === undefined) {
      line = new Line(tag, this.#settings);
      this.#lines.set(tag, line);
    }
    return line;
  }

  async #outcome(
    calls: readonly Call[],
    records: readonly BusRecord[],
    failed: PublishFailure[] | undefined,
  ): Promise<void> {
    if (calls.length === 1 && failed === undefined) {
      const refusals = await calls[0]!.answered.promise;
      if (refusals.length > 0) throw publishError(refused(refusals, records), records.length);
      return;
    }
    const failures = failed ?? [];
    const outcomes = await Promise.allSettled(calls.map(({ answered }) => answered.promise));
    for (const [at, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') {
        failures.push(...refused(outcome.value, records));
        continue;
      }
      const error = toBusError(outcome.reason);
      for (const index of calls[at]!.indexes()) failures.push({ index, error });
    }
    if (failures.length > 0) throw publishError(failures, records.length);
  }

  /** A new connection: the lines go on where the server is. */
  resume(): void {
    for (const line of this.#lines.values()) void line.sync();
  }

  /** The connection is gone. */
  interrupt(): void {
    for (const line of this.#lines.values()) line.reset();
  }

  async forget(): Promise<void> {
    await Promise.all(Array.from(this.#lines.values(), (line) => line.forget()));
  }

  close(): void {
    for (const line of this.#lines.values()) {
      line.close(new ClosedError('the broker was closed', { broker: 'redis' }));
    }
  }
}

/** What a topic of this name keeps: most messages and milliseconds, or nothing. Of a pattern nothing is made. */
export function limitsOf(host: BrokerHost, topic: string): readonly [Arg, Arg] {
  if (!isLiteral(topic)) return ['', ''];
  const { maxMessages, maxAge } = host.topic(topic).retention;
  if (maxMessages === undefined && maxAge === undefined) return [DEFAULT_MAX_MESSAGES, ''];
  return [finite(maxMessages), finite(maxAge)];
}

const finite = (limit: number | undefined): Arg =>
  limit === undefined || limit === Number.POSITIVE_INFINITY ? '' : Math.floor(limit);

function refused(refusals: Refusals, records: readonly BusRecord[]): PublishFailure[] {
  return refusals.flatMap(([indexes, reason]) =>
    indexes.map((index) => ({ index, error: errorOf(reason, records[index]!.topic) })),
  );
}

function errorOf(reason: string, topic: string): BusError {
  if (reason === 'topic') return missingTopic(topic);
  if (reason === 'nobody') {
    return new NoRespondersError(`nobody answers requests on "${topic}"`, { topic, broker: 'redis' });
  }
  const isForeign = reason.includes('WRONGTYPE');
  return isForeign
    ? new ConfigError(`the key of topic "${topic}" holds something else: ${reason}`, {
        topic,
        broker: 'redis',
      })
    : toBusError(new Error(reason), { topic });
}

export function missingTopic(topic: string): ConfigError {
  return new ConfigError(`topic "${topic}" does not exist, and this bus may not create it`, {
    topic,
    broker: 'redis',
  });
}

function tooLarge({ topic, body }: BusRecord, limit: number): MessageTooLargeError {
  const size = body.byteLength;
  return new MessageTooLargeError(
    `a message for "${topic}" has ${size} bytes, at most ${limit} are allowed`,
    size,
    limit,
    { topic, broker: 'redis' },
  );
}

function publishError(failures: readonly PublishFailure[], count: number): PublishError {
  const sorted = failures.toSorted((a, b) => a.index - b.index);
  const { error } = sorted[0]!;
  return new PublishError(
    `${sorted.length} of ${count} messages were not accepted: ${error.message}`,
    sorted,
    {
      broker: 'redis',
      cause: error,
    },
  );
}
