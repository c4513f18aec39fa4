import { type BusError, type BusRecord, QueueFullError } from '@ambus/core';
import type { Refusal } from '../hub/space.ts';
import { Deque } from '../queue/deque.ts';
import type { PublishCall } from './call.ts';

interface Pending {
  readonly call: PublishCall;
  readonly index: number;
}

/**
 * Records of one bus that wait for room, by topic: within a topic none overtakes, and a full topic does not hold up the
 * others. A handler that publishes elsewhere before it acks would otherwise wait for itself.
 */
export class Backlog {
  readonly #take: (record: BusRecord) => Refusal | undefined;
  readonly #whenFull: 'wait' | 'fail';
  readonly #topics = new Map<string, Deque<Pending>>();

  /** @param take - stores a record, or says why not */
  constructor(take: (record: BusRecord) => Refusal | undefined, whenFull: 'wait' | 'fail') {
    this.#take = take;
    this.#whenFull = whenFull;
  }

  get empty(): boolean {
    return this.#topics.size === 0;
  }

  add(call: PublishCall): void {
    for (const index of call.records.keys()) {
      const { topic } = call.records[index]!;
      const waiting = this.#topics.get(topic);
      if (waiting !== undefined) waiting.push({ call, index });
      else if (!this.#settled(call, index)) this.#hold(topic, { call, index });
    }
  }

  /** Tries again what waits. */
  retry(): void {
    for (const [topic, waiting] of this.#topics) {
      for (let first = waiting.peek(); first !== undefined; first = waiting.peek()) {
        if (!first.call.done && !this.#settled(first.call, first.index)) break;
        waiting.shift();
      }
      if (waiting.size === 0) this.#topics.delete(topic);
    }
  }

  /** Nothing of what waits will be stored. */
  fail(error: BusError): void {
    for (const waiting of this.#topics.values()) {
      for (let first = waiting.shift(); first !== undefined; first = waiting.shift()) first.call.fail(error);
    }
    this.#topics.clear();
  }

  #settled(call: PublishCall, index: number): boolean {
    const record = call.records[index]!;
    const refusal = this.#take(record);
    if (refusal === undefined) {
      call.accepted(index);
    } else if (refusal !== 'full') {
      call.refused(index, refusal);
    } else if (this.#whenFull === 'fail') {
      const { topic } = record;
      call.refused(index, new QueueFullError(`a queue of "${topic}" is full`, { topic, broker: 'memory' }));
    } else {
      return false;
    }
    return true;
  }

  #hold(topic: string, pending: Pending): void {
    const waiting = new Deque<Pending>();
    waiting.push(pending);
    this.#topics.set(topic, waiting);
  }
}
