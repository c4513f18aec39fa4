import type { Delivery } from '@ambus/core';
import { type Entry, OUT, SETTLED } from './entry.ts';
import type { Feed } from './feed.ts';
import type { Handout } from './handout.ts';
import type { Lanes } from './lanes.ts';

/** What becomes of records that core has: they are done, come again later, or were never touched. */
export class Settlement {
  readonly #feed: Feed;
  readonly #handout: Handout;
  readonly #lanes: Lanes;

  constructor(feed: Feed, handout: Handout, lanes: Lanes) {
    this.#feed = feed;
    this.#handout = handout;
    this.#lanes = lanes;
  }

  /** @returns those that are no longer this subscription's */
  settle(deliveries: readonly Delivery[]): Delivery[] {
    const refused: Delivery[] = [];
    for (const delivery of deliveries as readonly Entry[]) {
      if (delivery.state === OUT) {
        this.#handout.returned(delivery, SETTLED);
        delivery.lane?.unblock(delivery);
        if (!delivery.part.detached) delivery.part.ledger.settle(delivery.offset);
        delivery.part.dirty = true;
        this.#lanes.tidy(delivery.lane);
      } else if (delivery.state !== SETTLED) {
        refused.push(delivery);
      }
    }
    this.#feed.wake();
    return refused;
  }

  retry(delivery: Delivery, delay: number): boolean {
    const entry = delivery as Entry;
    if (entry.state !== OUT) return false;
    const again = entry.again();
    const { lane, part } = entry;
    this.#handout.returned(entry, SETTLED);
    if (!part.detached && !isGone(entry)) {
      part.dirty = true;
      const due = Date.now() + delay;
      part.ledger.wait(entry.offset, due);
      if (!part.draining) {
        this.#feed.block(again);
        if (lane !== undefined && this.#feed.source.order === 'block') {
          this.recall((other) => other.lane === lane);
        }
        if (delay === 0) this.#feed.enter(again);
        else this.#feed.wait(again, due);
      }
    }
    this.#lanes.tidy(lane);
    this.#feed.wake();
    return true;
  }

  release(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries as readonly Entry[]) {
      if (delivery.state !== OUT) continue;
      const { part, lane } = delivery;
      this.#handout.returned(delivery, SETTLED);
      if (!part.detached && !isGone(delivery)) {
        part.ledger.release(delivery.offset);
        part.dirty = true;
        if (!part.draining) this.#feed.enter(delivery.again());
      }
      this.#lanes.tidy(lane);
    }
  }

  /** Takes back what is on its way to core. */
  recall(which: (entry: Entry) => boolean): void {
    const recalled = this.#handout.recall(which);
    if (recalled.length > 0) this.release(recalled);
  }
}

/** Whether it was removed from its topic while core had it: then it does not come again. */
function isGone({ part, offset }: Entry): boolean {
  return part.ledger.done(offset);
}
