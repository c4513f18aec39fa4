import { ConfigError } from '@ambus/core';
import type { Incoming } from '../link/driver.ts';
import type { LinkListener } from '../link/link.ts';
import { createDelays } from '../server/consumers.ts';
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
/** Longest wait that is asked of the server at once: days, so that no sum there overflows. */
const LONGEST = 7 * 24 * 60 * 60 * 1_000;

/**
 * Holds delayed records on servers that cannot schedule (before 2.12): one consumer for all buses, whose records are nacked
 * until they are due and then stored where they belong.
 */
export class Delays implements FlowOwner, LinkListener {
  readonly #space: Space;
  #flow: Flow | undefined;
  #opening = false;

  constructor(space: Space) {
    this.#space = space;
  }

  /** Takes part, from the first delayed record or subscription on. */
  open(): void {
    if (this.#opening || this.#space.canSchedule) return;
    this.#opening = true;
    this.#space.link.listeners.add(this);
    this.#space.onLost.add(() => void this.#start());
    void this.#start();
  }

  async #start(): Promise<void> {
    this.#flow?.abandon();
    try {
      const { name } = await createDelays(this.#space);
      this.#flow = new Flow(this.#space, name, this, false);
      this.#flow.open();
      this.#flow.want(AT_ONCE);
    } catch (error) {
      // An account that may not leaves it to the others.
      if (!this.#space.link.closed && !ConfigError.is(error))
        setTimeout(() => void this.#start(), RETRY).unref();
    }
  }

  arrived(messages: readonly Incoming[]): void {
    for (const message of messages) void this.#handle(message).catch(() => {});
    this.#flow?.want(AT_ONCE);
  }

  async #handle(message: Incoming): Promise<void> {
    const { names, link, api } = this.#space;
    const { seq, time } = placeOf(message.reply);
    const topic = names.topicOfSchedule(message.subject);
    const record = new WireRecord(topic, 'durable', message, this.#space.stream, seq, time);
    const settlement = { reply: message.reply, origin: DELAYS };
    const left = (record.deliverAt ?? 0) - Date.now();
    if (left > 0) {
      await sendSettlements(link, [settlement], nakWithDelay(Math.min(left, LONGEST)));
      return;
    }
    const target = names.data(names.classOf(message.subject), topic);
    // Whoever else stores it, after a crash between the two steps, stores it under the same name.
    const head = renamed(message.head, `${this.#space.stream}-${seq}`);
    const { failure } = await api.storeBytes(target, head, message.body);
    if (failure !== undefined) {
      await sendSettlements(link, [settlement], nakWithDelay(RETRY));
      return;
    }
    // Nobody can take it back any more.
    await api.ask(`STREAM.MSG.DELETE.${this.#space.stream}`, { seq, no_erase: true });
    await sendSettlements(link, [settlement], ACK);
  }

  missing(): void {
    void this.#start();
  }

  tick(now: number): void {
    this.#flow?.tick(now);
    this.#flow?.want(AT_ONCE);
  }

  down(): void {
    this.#flow?.abandon();
  }

  up(): void {
    this.#flow?.open();
    this.#flow?.want(AT_ONCE);
  }
}

const DELAYS = { consumer: 'delays' };

/** The header block with another name for the server's deduplication. */
function renamed(head: Uint8Array | undefined, id: string): Buffer {
  const text = head === undefined ? 'NATS/1.0\r\n\r\n' : bufferOf(head).toString('latin1');
  const without = text.replace(/\r\nNats-Msg-Id: [^\r]*/, '');
  return Buffer.from(`${without.slice(0, -2)}Nats-Msg-Id: ${id}\r\n\r\n`, 'latin1');
}
