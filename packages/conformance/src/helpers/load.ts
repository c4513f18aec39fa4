import assert from 'node:assert/strict';
import type { Bus, Message, SubscribeOptions } from '@ambus/core';
import type { CaseContext } from '../context.ts';
import { distinct } from './sequence.ts';

/**
 * Numbered messages under way while something breaks: what was confirmed, what was handled. A publisher that fails tries
 * the same number again, as a program would, so a number may be there twice; lost is what was confirmed and never came.
 */
export class Load {
  /** Numbers whose publish resolved. */
  readonly confirmed: Set<number> = new Set();
  readonly handled: number[] = [];
  /** Publishes that failed and were tried again. */
  failures = 0;
  readonly #t: CaseContext;
  readonly #topic: string;
  #stopped = false;

  constructor(t: CaseContext, topic: string) {
    this.#t = t;
    this.#topic = topic;
    t.cleanup(() => {
      this.#stopped = true;
    });
  }

  /** A member that handles what comes. */
  async consume(
    bus: Bus,
    options: Omit<SubscribeOptions, 'ack'>,
    work?: (message: Message) => unknown,
  ): Promise<void> {
    await bus.subscribe(
      this.#topic,
      async (message) => {
        if (work !== undefined) await work(message);
        this.handled.push(message.data as number);
      },
      options,
    );
  }

  /** Publishes `count` numbers from `from` on, one after the other, each until it is accepted. */
  async publish(bus: Bus, from: number, count: number): Promise<void> {
    for (let n = from; n < from + count; n++) {
      while (!this.#stopped) {
        try {
          await bus.publish(this.#topic, n);
          this.confirmed.add(n);
          break;
        } catch {
          this.failures++;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    }
  }

  /** Waits until `count` numbers are confirmed. */
  async reach(count: number, timeout: number): Promise<void> {
    await this.#t.until(`${count} were published`, () => this.confirmed.size >= count, timeout);
  }

  /** Waits until everything confirmed was handled, and reports how often something came twice. */
  async complete(timeout: number): Promise<void> {
    const { confirmed, handled } = this;
    const missing = (): number[] => {
      const came = new Set(handled);
      return [...confirmed].filter((n) => !came.has(n));
    };
    await this.#t
      .until('all that was confirmed was handled', () => missing().length === 0, timeout)
      .catch(() => {});
    const lost = missing();
    assert.equal(lost.length, 0, `${lost.length} of ${confirmed.size} were lost: ${lost.slice(0, 10)} …`);
    this.#t.note('published', confirmed.size);
    this.#t.note('duplicates', handled.length - distinct(handled).length);
    this.#t.note('publishes tried again', this.failures);
  }
}
