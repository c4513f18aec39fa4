import {
  asBusError,
  type BusError,
  type BusRecord,
  ClosedError,
  PublishError,
  TimeoutError,
} from '@ambus/core';
import type { LinkListener } from '../link/contracts.ts';
import type { Space } from '../server/space.ts';
import { Batch, type Pause } from './batch.ts';

/** Milliseconds before a stream that has no leader is asked again. */
const PAUSE = 150;
/** Milliseconds before what was in the way is taken for stored. */
const BUSY = 20;

/**
 * Milliseconds after which what nobody answered is sent again: a stream's leader that dies takes with it what it had not
 * passed on, while the connection to another node stays. Longer than an election, and than a busy server's answer takes.
 */
const UNANSWERED = 6_000;
/** Milliseconds after which that is to be feared, and nothing more is sent ahead of it. Shorter than an election. */
const LATE = 2_000;

/**
 * Records without an answer, beyond which nothing more is sent: of what is behind 10,000 of them, of all buses, the server
 * refuses some and takes others, whatever their order.
 */
const MOST_SENT = 4_000;

const pause = (time: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, time).unref());

/** A call of `publish`: what of it is not yet accepted. */
interface Call {
  readonly records: readonly BusRecord[];
  readonly deadline: number;
  /** Number of the call: what is sent again goes before what came later. */
  readonly order: number;
  /** Why it is not sent again at once. */
  pause: Pause | undefined;
  readonly failures: { readonly index: number; readonly error: BusError }[];
  /** Indexes that still have to be sent, in order. */
  left: readonly number[];
  resolve(): void;
  reject(error: BusError): void;
}

/**
 * Sends batches in the order in which they came. One that must wait (for the connection, or for its topics to be made)
 * holds back those behind it, so the order of a key survives.
 */
export class Publisher implements LinkListener {
  readonly #space: Space;
  readonly #waiting: Call[] = [];
  /** Batches on their way with their calls' orders, the one that was sent first before the others. */
  readonly #sent = new Map<Batch, number>();
  /** Records in them. */
  #unanswered = 0;
  #pumping = false;
  #calls = 0;
  /** Goes on where it was waited for answers. */
  #roomMade: (() => void) | undefined;

  constructor(space: Space) {
    this.#space = space;
  }

  publish(records: readonly BusRecord[], deadline: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const call: Call = {
        records,
        deadline,
        order: this.#calls++,
        pause: undefined,
        failures: [],
        left: [...records.keys()],
        resolve,
        reject,
      };
      const isFree = (this.#waiting.length === 0 && this.#hasRoom && !this.#isLate) || this.#mayPass(call);
      if (isFree && this.#space.link.canSend && this.#isPrepared(call)) {
        this.#send(call);
      } else {
        this.#waiting.push(call);
        void this.#pump();
      }
    });
  }

  /** What waits for the connection ends at its deadline; what waits for an answer is sent again. */
  tick(now: number): void {
    for (const batch of [...this.#sent.keys()]) if (now - batch.sentAt > UNANSWERED) batch.unanswered();
    for (const call of [...this.#waiting]) if (call.deadline <= now) this.#giveUp(call);
  }

  /** Nothing is sent any more. */
  close(): void {
    this.ended(new ClosedError('the broker is closed', { broker: 'nats' }));
  }

  ended(error: BusError): void {
    for (const call of this.#waiting.splice(0)) this.#fail(call, error);
  }

  get #hasRoom(): boolean {
    return this.#unanswered < MOST_SENT;
  }

  /** Whether something may have to be sent again, so that what is sent meanwhile would come before it. */
  get #isLate(): boolean {
    for (const batch of this.#sent.keys()) return Date.now() - batch.sentAt > LATE;
    return false;
  }

  /** What nobody stores need not wait for what is stored. */
  #mayPass({ records }: Call): boolean {
    const isDurable = ({ channel }: BusRecord): boolean => channel === 'durable';
    return !records.some(isDurable) && this.#waiting.every((call) => call.records.every(isDurable));
  }

  #isPrepared({ records, left }: Call): boolean {
    return left.every((index) => {
      const record = records[index]!;
      return record.channel !== 'durable' || this.#space.isReady(record);
    });
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#waiting.length > 0) {
      const call = this.#waiting[0]!;
      try {
        await this.#space.link.ready(call.deadline);
        if (call.pause !== undefined) await this.#wait(call);
        await this.#prepare(call);
      } catch (error) {
        const known = asBusError(error, { broker: 'nats' });
        if (known.retryable && Date.now() < call.deadline) {
          await pause(PAUSE);
        } else if (this.#waiting[0] === call) {
          this.#waiting.shift();
          this.#fail(call, known);
        }
        continue;
      }
      // It may have been given up meanwhile.
      if (this.#waiting[0] !== call || !this.#space.link.canSend) continue;
      if (this.#isLate) {
        await pause(BUSY);
        continue;
      }
      if (!this.#hasRoom) {
        await new Promise<void>((resolve) => {
          this.#roomMade = resolve;
        });
        continue;
      }
      this.#waiting.shift();
      if (call.deadline <= Date.now()) this.#giveUp(call);
      else if (call.left.length === 0) this.#finish(call);
      else this.#send(call);
    }
    this.#pumping = false;
  }

  /** Makes what topics are missing; those that cannot be are the failures of their records. */
  async #prepare(call: Call): Promise<void> {
    if (this.#isPrepared(call)) return;
    const topics = new Map<string, BusRecord>();
    for (const index of call.left) {
      const record = call.records[index]!;
      if (record.channel !== 'durable' || this.#space.isReady(record)) continue;
      // A dead letter needs more than another record of its topic.
      if (!topics.has(record.topic) || record.extensions?.deadLetter !== undefined)
        topics.set(record.topic, record);
    }
    const refused = new Map<string, BusError>();
    await Promise.all(
      Array.from(topics, async ([topic, record]) => {
        try {
          await this.#space.prepare(record);
        } catch (error) {
          const known = asBusError(error, { topic, broker: 'nats' });
          if (known.retryable) throw known;
          refused.set(topic, known);
        }
      }),
    );
    if (refused.size === 0) return;
    call.left = call.left.filter((index) => {
      const { channel, topic } = call.records[index]!;
      const error = channel === 'durable' ? refused.get(topic) : undefined;
      if (error !== undefined) call.failures.push({ index, error });
      return error === undefined;
    });
  }

  #send(call: Call): void {
    const count = call.left.length;
    const batch: Batch = new Batch(this.#space, call.records, call.left, (failures, again, pause) => {
      this.#sent.delete(batch);
      this.#unanswered -= count;
      this.#roomMade?.();
      call.failures.push(...failures);
      call.left = again;
      call.pause = pause;
      if (again.length === 0) {
        this.#finish(call);
        return;
      }
      const at = this.#waiting.findIndex(({ order }) => order > call.order);
      this.#waiting.splice(at < 0 ? this.#waiting.length : at, 0, call);
      void this.#pump();
    });
    this.#sent.set(batch, call.order);
    this.#unanswered += count;
    batch.send();
  }

  /** Makes the stream anew if it is gone; one that has no leader, or is busy, is only waited for. */
  async #wait(call: Call): Promise<void> {
    const { topic } = call.records[call.left[0]!]!;
    let wasLost = false;
    if (call.pause === 'missing') {
      await this.#space.ensure(topic);
      wasLost = await this.#space.verify(topic);
      // What went the same way before has met nobody either, and nobody will say so.
      for (const [batch, order] of [...this.#sent]) if (order < call.order) batch.unanswered();
    }
    if (!wasLost) await pause(call.pause === 'busy' ? BUSY : PAUSE);
    call.pause = undefined;
  }

  #finish(call: Call): void {
    if (call.failures.length === 0) {
      call.resolve();
      return;
    }
    const failures = call.failures.toSorted((a, b) => a.index - b.index);
    const text = `${failures.length} of ${call.records.length} messages were not accepted: ${failures[0]!.error.message}`;
    call.reject(new PublishError(text, failures, { broker: 'nats' }));
  }

  #giveUp(call: Call): void {
    const at = this.#waiting.indexOf(call);
    if (at >= 0) this.#waiting.splice(at, 1);
    this.#fail(call, new TimeoutError('nats: not accepted before the deadline', { broker: 'nats' }));
  }

  /** What is left of it fails for this reason. */
  #fail(call: Call, error: BusError): void {
    call.failures.push(...call.left.map((index) => ({ index, error })));
    this.#finish(call);
  }
}
