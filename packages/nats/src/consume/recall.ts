import type { ConsumerInfo } from '../server/consumers.ts';
import type { Space } from '../server/space.ts';
import { unseenReplies } from '../wire/place.ts';
import { NAK, sendSettlements } from './settle.ts';

/** Milliseconds beyond the lease, for what is on its way. */
const MARGIN = 250;
/** Numbers that are called back, those of other topics between them included; of more it is waited until they come. */
const MOST = 5_000;

/** What a lane knows of what was delivered to it. */
export interface Known {
  /** The number up to which nothing is missing that was not given back. */
  readonly upTo: number;
  /** Numbers of what is here. */
  readonly here: ReadonlySet<number>;
  /** Numbers of what was given back and has not come again. */
  readonly returned: Iterable<number>;
  /** Number of the last delivery that came, or was not for us. */
  readonly delivery: number;
  /** Where something else of the consumer is settled; empty where nothing ever came. */
  readonly reply: string;
}

/**
 * What the server sends to a connection that breaks is nobody's until its lease has run out, and meanwhile the server sends
 * what is behind it. So before a lane that has lost something asks for more, the lost is given back in its place: after
 * that the server sends it first.
 */
export class Recall {
  readonly #space: Space;
  readonly #consumer: string;
  /** From when on the lost comes by itself before all else. */
  #lapsed: number | undefined;
  isDue = false;

  constructor(space: Space, consumer: string) {
    this.#space = space;
    this.#consumer = consumer;
  }

  /** There is nothing to be called back any more. */
  done(): void {
    this.isDue = false;
    this.#lapsed = undefined;
  }

  /** @returns the numbers that were called back; undefined when it is not yet time to ask for more */
  async callBack(info: ConsumerInfo, known: Known, ackWait: number): Promise<readonly number[] | undefined> {
    // A request of the broken connection takes what is stored now.
    if (info.num_waiting > 0) return undefined;
    this.#lapsed ??= Date.now() + ackWait + MARGIN;
    if (Date.now() > this.#lapsed) return [];
    const behind = Math.max(known.upTo, info.ack_floor.stream_seq);
    const { stream_seq: last, consumer_seq: delivery } = info.delivered;
    const away = new Set(known.returned);
    if (delivery > known.delivery) {
      if (last - behind > MOST) return undefined;
      for (let seq = behind + 1; seq <= last; seq++) away.add(seq);
    }
    const lost = Array.from(away)
      .filter((seq) => !known.here.has(seq))
      .sort((a, b) => a - b);
    const replyOf = unseenReplies(this.#space.stream, this.#consumer, known.reply, delivery);
    const origin = { consumer: this.#consumer };
    // Of what is settled, or of another topic, the server takes no notice.
    const settlements = lost.map((seq) => ({ reply: replyOf(seq), origin }));
    try {
      await sendSettlements(this.#space.link, settlements, NAK);
      return lost;
    } catch {
      return undefined;
    }
  }
}
