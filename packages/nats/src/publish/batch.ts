import {
  type BusError,
  type BusRecord,
  ConfigError,
  ConnectionError,
  MessageTooLargeError,
  NoRespondersError,
  type PublishFailure,
  ValidationError,
} from '@ambus/core';
import { nuid } from 'nats';
import type { Expecting } from '../link/contracts.ts';
import type { Incoming } from '../link/driver.ts';
import { isUnheard } from '../link/link.ts';
import { classOf, hash } from '../names.ts';
import { type ApiFailure, text } from '../server/api.ts';
import type { Space } from '../server/space.ts';
import type { StreamInfo } from '../server/streams.ts';
import { encodeHeaders } from '../wire/headers.ts';
import { Frames } from './encode.ts';
import { isBusy, refusal } from './refusal.ts';

/**
 * @param failures - final
 * @param again - indexes that may be sent again
 * @param pause - why not at once
 */
export type BatchEnd = (
  failures: readonly PublishFailure[],
  again: readonly number[],
  pause: Pause | undefined,
) => void;

/** The stream was not found; or it takes nothing, or not this, for a moment. */
export type Pause = 'missing' | 'busy';

/** Milliseconds for which a node of a cluster may not have heard who answers at another one, and before it is first asked again. */
const NEWS = 250;
const ASK_AGAIN = 20;

/** What may be published to: no blanks, no wildcards, no empty parts. */
const SUBJECT = /^[\x21-\x7e]+$/;
const NO_SUBJECT = /^\.|\.$|\.\.|(^|\.)[*>](\.|$)|^\$/;

/** The server counts nanoseconds in 64 bits, which end in April of this year: what is later would be due at once. */
const LAST_SCHEDULE = Date.UTC(2262, 0);

/** `{"error"`: an answer is read only where it starts like this, or may be a duplicate's. */
const ERROR_AT = 2;
const E = 0x65;

/** What one acknowledgement of the server says. */
interface PubAck {
  readonly seq: number;
  readonly duplicate?: boolean;
  readonly error?: ApiFailure;
}

/** Records on their way to the server, with one address for all answers. */
export class Batch implements Expecting {
  readonly #space: Space;
  readonly #records: readonly BusRecord[];
  readonly #indexes: readonly number[];
  readonly #end: BatchEnd;
  readonly #open = new Set<number>();
  /** Where each was sent. */
  readonly #subjects = new Map<number, string>();
  readonly #failures: PublishFailure[] = [];
  readonly #again: number[] = [];
  #pause: Pause | undefined;
  #address = '';
  /** Work that is under way beside the answers: the flush of what nobody answers, a look at a duplicate. */
  #pending = 0;
  #done = false;
  /** When it was sent; milliseconds since the epoch. */
  sentAt = 0;

  constructor(space: Space, records: readonly BusRecord[], indexes: readonly number[], end: BatchEnd) {
    this.#space = space;
    this.#records = records;
    this.#indexes = indexes;
    this.#end = end;
  }

  send(): void {
    this.sentAt = Date.now();
    const { link } = this.#space;
    this.#address = link.expect(this);
    const frames = new Frames();
    const unanswered: number[] = [];
    for (const index of this.#indexes) {
      const record = this.#records[index]!;
      try {
        if (record.channel === 'durable') this.#addDurable(frames, record, index);
        else {
          this.#addInFlight(frames, record, index);
          unanswered.push(index);
        }
      } catch (error) {
        this.#fail(index, error as BusError);
      }
    }
    if (!frames.isEmpty) link.driver.write(frames.bytes());
    if (unanswered.length > 0) void this.#flush(unanswered);
    this.#settle();
  }

  #addDurable(frames: Frames, record: BusRecord, index: number, generation = ''): void {
    const { names } = this.#space;
    const { topic, deliverAt, deduplicationKey } = record;
    const recordClass = classOf(record);
    const target = names.data(recordClass, topic);
    let subject = target;
    let more = '';
    if (deliverAt !== undefined && deliverAt > Date.now()) {
      subject = names.schedule(recordClass, topic, record.id, nuid.next());
      if (this.#space.streams.canSchedule) {
        const at = new Date(Math.min(deliverAt, LAST_SCHEDULE)).toISOString();
        more = `Nats-Schedule: @at ${at}\r\nNats-Schedule-Target: ${target}\r\n`;
      } else {
        this.#space.delays.open(true);
      }
    }
    if (this.#space.streams.hasMaxAge && record.extensions?.deadLetter !== undefined) {
      // Not the age of the stream's messages: it is looked after by the topic's own retention.
      more += 'Nats-TTL: never\r\n';
    }
    if (deduplicationKey !== undefined) {
      this.#checkWindow(topic);
      more += `Nats-Msg-Id: ${hash(`${topic} ${deduplicationKey} ${generation}`)}\r\n`;
    }
    this.#subjects.set(index, subject);
    this.#add(frames, subject, record, `${this.#address}.${index}`, more);
    this.#open.add(index);
    this.#space.trimmer.published(topic);
  }

  /** What the server forgets earlier than was promised is not sent. */
  #checkWindow(topic: string): void {
    const { streams, link, stream } = this.#space;
    const { deduplicationWindow } = link.host;
    if (streams.window === 0 || streams.window >= deduplicationWindow) return;
    throw new ConfigError(
      `nats: stream "${stream}" remembers idempotency keys for ${streams.window} ms (its maxAge allows no more, or this bus may not change it), and deduplicationWindow is ${deduplicationWindow}: set that to no more`,
      { topic, broker: 'nats' },
    );
  }

  #addInFlight(frames: Frames, record: BusRecord, index: number): void {
    const { names } = this.#space;
    const { channel, topic } = record;
    // An address that was made up by somebody is nobody's.
    if (channel === 'reply' && (!SUBJECT.test(topic) || NO_SUBJECT.test(topic))) return;
    const isRequest = channel === 'request';
    const inFlight = channel === 'ephemeral' ? names.ephemeral(topic) : topic;
    const subject = isRequest ? names.request(topic) : inFlight;
    this.#subjects.set(index, subject);
    // The server answers at once to where nobody listens.
    this.#add(frames, subject, record, isRequest ? `${this.#address}.${index}` : undefined, '');
  }

  #add(frames: Frames, subject: string, record: BusRecord, reply: string | undefined, more: string): void {
    let head: string;
    try {
      head = encodeHeaders(record, more);
    } catch {
      throw new ValidationError(
        `a header or attribute of a message for "${record.topic}" is no well-formed text`,
        {
          topic: record.topic,
          broker: 'nats',
        },
      );
    }
    const { driver, settings } = this.#space.link;
    const limit = driver.maxPayload ?? settings.maxPayload;
    const size = Buffer.byteLength(head) + record.body.length;
    if (size > limit) {
      throw new MessageTooLargeError(
        `a message for "${record.topic}" has ${size} bytes with its metadata, at most ${limit} are allowed`,
        size,
        limit,
        { topic: record.topic, broker: 'nats' },
      );
    }
    frames.add(subject, reply, head, record.body);
  }

  answer(index: number, message: Incoming): void {
    const record = this.#records[index]!;
    if (record.channel === 'request') {
      if (isUnheard(message)) this.#unheard(index, record);
      return;
    }
    if (!this.#open.delete(index)) return;
    if (isUnheard(message)) {
      this.#pause = 'missing';
      this.#again.push(index);
    } else if (message.body[ERROR_AT] === E || record.deduplicationKey !== undefined) {
      this.#read(index, JSON.parse(text(message)) as PubAck);
    }
    this.#settle();
  }

  #unheard(index: number, { topic }: BusRecord): void {
    if (this.#space.link.driver.isClustered && Date.now() - this.sentAt < NEWS) {
      void this.#askAgain(index);
      return;
    }
    this.#fail(
      index,
      new NoRespondersError(`nobody answers requests on "${topic}"`, { topic, broker: 'nats' }),
    );
  }

  /** It has reached nobody, so it cannot be answered twice. */
  async #askAgain(index: number): Promise<void> {
    this.#pending++;
    // Each time after twice as long: where nobody answers at all, that is asked a few times only.
    await new Promise((resolve) => setTimeout(resolve, Math.max(Date.now() - this.sentAt, ASK_AGAIN)));
    const { link } = this.#space;
    if (link.canSend) {
      const frames = new Frames();
      this.#addInFlight(frames, this.#records[index]!, index);
      link.driver.write(frames.bytes());
      await this.#flush([index]);
    } else {
      this.#fail(index, link.broken());
    }
    this.#pending--;
    this.#settle();
  }

  #read(index: number, { error, duplicate, seq }: PubAck): void {
    const record = this.#records[index]!;
    if (error !== undefined && isBusy(error)) {
      this.#pause ??= 'busy';
      this.#again.push(index);
    } else if (error !== undefined) this.#fail(index, refusal(record, error));
    else if (duplicate) void this.#duplicate(index, seq);
  }

  /**
   * The server remembers keys for the longest window of all buses. Where this bus's is shorter and over, the record is
   * stored under a further name of the key, the same for everybody who knows the last one.
   */
  async #duplicate(index: number, seq: number): Promise<void> {
    const isDelayed = (this.#records[index]!.deliverAt ?? 0) > this.sentAt;
    const { link, stream, streams } = this.#space;
    const own = link.host.deduplicationWindow;
    if (own >= streams.window) return;
    this.#pending++;
    try {
      const storedBefore = await this.#storedBefore(isDelayed ? streams.own : stream, seq);
      if (Date.now() - storedBefore > own) {
        const frames = new Frames();
        this.#addDurable(frames, this.#records[index]!, index, String(seq));
        if (link.canSend) link.driver.write(frames.bytes());
        else this.broken();
      }
    } catch {
      // Unknown is as good as a duplicate: the first one is stored.
    }
    this.#pending--;
    this.#settle();
  }

  /** When a record was stored at the latest: it may be gone, and what came behind it is not older. */
  async #storedBefore(stream: string, seq: number): Promise<number> {
    const { api } = this.#space;
    const next = await api.next(stream, seq, '>');
    if (next !== undefined) return next.time;
    const { state } = await api.get<StreamInfo>(`STREAM.INFO.${stream}`);
    const last = Date.parse(state.last_ts);
    // The server does not always know.
    return last > 0 ? last : Date.now();
  }

  /** What nobody acknowledges is with the server when it answers a ping that was sent after it. */
  async #flush(indexes: readonly number[]): Promise<void> {
    this.#pending++;
    try {
      await this.#space.link.driver.flush();
    } catch {
      for (const index of indexes) {
        this.#fail(index, new ConnectionError('nats: the connection broke', { broker: 'nats' }));
      }
    }
    this.#pending--;
    this.#settle();
  }

  denied({ message }: ConfigError, subject: string | undefined): boolean {
    let isOurs = false;
    for (const [index, to] of this.#subjects) {
      const { channel, topic } = this.#records[index]!;
      const isMeant = subject === undefined ? channel === 'durable' || channel === 'request' : to === subject;
      if (!isMeant) continue;
      isOurs = true;
      this.#open.delete(index);
      this.#fail(index, new ConfigError(message, { topic, broker: 'nats' }));
    }
    if (isOurs) this.#settle();
    return isOurs;
  }

  /** It takes too long: what it went to may be gone, unheard because somebody else listens there. */
  unanswered(): void {
    this.#pause ??= 'missing';
    this.broken();
  }

  broken(): void {
    this.#again.push(...this.#open);
    this.#open.clear();
    this.#settle();
  }

  #fail(index: number, error: BusError): void {
    if (!this.#failures.some((failure) => failure.index === index)) this.#failures.push({ index, error });
  }

  #settle(): void {
    if (this.#done || this.#open.size > 0 || this.#pending > 0) return;
    this.#done = true;
    this.#space.link.forget(this.#address);
    this.#end(
      this.#failures,
      this.#again.toSorted((a, b) => a - b),
      this.#pause,
    );
  }
}
