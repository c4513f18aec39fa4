import { ConfigError } from '@ambus/core';
import type { LinkListener } from '../link/contracts.ts';
import type { Incoming } from '../link/driver.ts';
import { createDelays, findDelays } from '../server/other-consumers.ts';
import type { Space } from '../server/space.ts';
import { bufferOf } from '../wire/headers.ts';
import { placeOf } from '../wire/place.ts';
import { WireRecord } from '../wire/record.ts';
import { Flow, type FlowOwner } from './flow.ts';
import { ACK, nakWithDelay, sendSettlements } from './settle.ts';

/** Records that are looked at and not yet settled at a time. */
const AT_ONCE = 100;
/** Milliseconds before a failed step is tried again. */
const RETRY = 500;
/**
 * Milliseconds between two looks for what the server does not hold: a bus that has gone over an upgrade of the server goes
 * on as before, and may end.
 */
const LOOK_AGAIN = 60_000;
/** Longest wait that is asked of the server at once: days, so that no sum there overflows. */
const LONGEST = 7 * 24 * 60 * 60 * 1_000;

/**
 * Holds delayed records where the server does not (before 2.12, or in a stream of their own): one consumer for all buses,
 * whose records are nacked until they are due and then stored where they belong. It goes on where the server has learnt to
 * hold them itself, as long as there are some from before.
 */
export class Delays implements FlowOwner, LinkListener {
  readonly #space: Space;
  #flow: Flow | undefined;
  #opening = false;
  #openedAt = 0;
  /** Whether this bus has delayed something. */
  #isUsed = false;
  #warned = false;
  #isClosed = false;
  readonly #handling = new Set<Promise<void>>();

  constructor(space: Space) {
    this.#space = space;
  }

  /**
   * Takes part, from the first delayed record or subscription on. Only once the stream is known.
   *
   * @param isUsed - whether something is delayed
   */
  open(isUsed: boolean): void {
    if (isUsed) this.#isUsed = true;
    if (this.#opening || this.#isClosed) return;
    this.#opening = true;
    this.#openedAt = Date.now();
    this.#space.link.listeners.add(this);
    void this.#open();
  }

  async #open(): Promise<void> {
    if (this.#space.streams.canSchedule && !(await this.#isNeeded())) {
      this.#opening = false;
      return;
    }
    this.#space.onLost.add(this.#onLost);
    await this.#start();
  }

  readonly #onLost = (): void => void this.#start();

  /** Whether somebody has left records that the server does not know to be delayed. */
  async #isNeeded(): Promise<boolean> {
    const { api, own, names, link } = this.#space;
    try {
      const info = await findDelays(this.#space);
      if (info !== undefined) return info.num_pending + info.num_ack_pending > 0;
      // Who left them could not make the consumer, or was not there for long enough. They are before all others.
      const first = await api.next(own, 1, names.schedules('*', '>'));
      return first !== undefined && first.headText?.includes(SCHEDULE) !== true;
    } catch (error) {
      // Nobody else would look.
      if (!ConfigError.is(error) && !link.closed) setTimeout(() => this.open(false), RETRY).unref();
      return false;
    }
  }

  async #start(): Promise<void> {
    this.#flow?.abandon();
    const space = this.#space;
    try {
      const info = space.mayCreate ? await createDelays(space) : await findDelays(space);
      if (this.#isClosed) return;
      if (info === undefined) {
        this.#leave();
        return;
      }
      this.#flow = new Flow(space, info.name, this, false, space.own);
      this.#flow.open();
      this.#flow.want(AT_ONCE);
    } catch (error) {
      if (this.#isClosed || space.link.closed) return;
      if (ConfigError.is(error)) this.#leave();
      // Its stream may be gone again, and nobody else would look.
      else setTimeout(() => this.missing(), RETRY).unref();
    }
  }

  /** An account that may not leaves it to the others. */
  #leave(): void {
    this.#opening = false;
    if (!this.#isUsed || this.#warned) return;
    this.#warned = true;
    this.#space.link.host.warning(
      'delayed messages wait until another bus of the prefix makes the consumer that holds them: this one may not',
      { consumer: DELAYS.consumer, stream: this.#space.own },
    );
  }

  arrived(messages: readonly Incoming[]): void {
    for (const message of messages) {
      const handling = this.#handle(message)
        .catch(() => {})
        .finally(() => this.#handling.delete(handling));
      this.#handling.add(handling);
    }
    this.#flow?.want(AT_ONCE);
  }

  /** Leaves it to the others: what is on its way here is handled, as it would be late by its lease. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#space.link.listeners.delete(this);
    this.#space.onLost.delete(this.#onLost);
    await this.#flow?.end();
    await Promise.all(this.#handling);
  }

  async #handle(message: Incoming): Promise<void> {
    const { names, link, api } = this.#space;
    const { seq, time } = placeOf(message.reply);
    const { own } = this.#space;
    const topic = names.topicOfSchedule(message.subject);
    const record = new WireRecord(topic, 'durable', message, own, seq, time);
    const settlement = { reply: message.reply, origin: DELAYS };
    // The server's own business.
    if (message.headText?.includes(SCHEDULE)) {
      await sendSettlements(link, [settlement], ACK);
      return;
    }
    const left = (record.deliverAt ?? 0) - Date.now();
    if (left > 0) {
      await sendSettlements(link, [settlement], nakWithDelay(Math.min(left, LONGEST)));
      return;
    }
    const target = names.data(names.classOf(message.subject), topic);
    // Whoever else stores it, after a crash between the two steps, stores it under the same name.
    const head = renamed(message.head, `${own}-${seq}`);
    const { failure } = await api.storeBytes(target, head, message.body);
    if (failure !== undefined) {
      await sendSettlements(link, [settlement], nakWithDelay(RETRY));
      return;
    }
    // Nobody can take it back any more.
    await this.#space.removeOne(own, seq).catch((error: unknown) => {
      // Where it has to stay it is done with all the same, and must not come again.
      if (!ConfigError.is(error)) throw error;
    });
    await sendSettlements(link, [settlement], ACK);
  }

  silent(): void {
    this.#flow?.abandon();
    this.#flow?.open();
    this.missing();
  }

  missing(): void {
    const { generation } = this.#space;
    const start = (): void => {
      // What was lost and is there again has told already.
      if (generation === this.#space.generation) void this.#start();
    };
    this.#space.verify('delayed messages').then(start, start);
  }

  tick(now: number): void {
    this.#flow?.tick(now);
    this.#flow?.want(AT_ONCE);
    const { link, streams } = this.#space;
    if (link.canSend && streams.canSchedule && now - this.#openedAt > LOOK_AGAIN) this.open(false);
  }

  down(): void {
    this.#flow?.abandon();
  }

  up(): void {
    this.#flow?.open();
    this.#flow?.want(AT_ONCE);
  }
}

const SCHEDULE = '\r\nNats-Schedule: ';
const DELAYS = { consumer: 'delays' };

/** The header block with another name for the server's deduplication. */
function renamed(head: Uint8Array | undefined, id: string): Buffer {
  const text = head === undefined ? 'NATS/1.0\r\n\r\n' : bufferOf(head).toString('latin1');
  const without = text.replace(/\r\nNats-Msg-Id: [^\r]*/, '');
  return Buffer.from(`${without.slice(0, -2)}Nats-Msg-Id: ${id}\r\n\r\n`, 'latin1');
}
