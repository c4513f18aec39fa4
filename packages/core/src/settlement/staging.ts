import type { Delivery } from '../broker.ts';
import type { Core } from '../core.ts';
import type { BusRecord } from '../envelope/record.ts';
import { LeaseLostError, ValidationError } from '../errors.ts';
import type { Flow } from '../subscribe/flow.ts';
import type { IncomingMessage } from '../subscribe/message.ts';

/** What handlers publish in the transactions of their messages: the broker holds it until the ack. */
export class Staging {
  readonly #flow: Flow;
  readonly #core: Core;
  readonly #staged = new WeakMap<Delivery, Set<BusRecord>>();

  constructor(flow: Flow, core: Core) {
    this.#flow = flow;
    this.#core = core;
  }

  async stage(message: IncomingMessage, record: BusRecord): Promise<void> {
    const { loan, id } = message;
    const context = { topic: record.topic, broker: this.#core.broker.name };
    if (message.isLost) throw new LeaseLostError(`message ${id} no longer belongs to this consumer`, context);
    if (message.settlement !== undefined) {
      throw new ValidationError(
        `message ${id} is settled already (${message.settlement}): nothing more can be published in its transaction`,
        context,
      );
    }
    const staged = this.#staged.get(loan) ?? new Set();
    this.#staged.set(loan, staged.add(record));
    try {
      await this.#flow.stage(loan, record);
    } catch (error) {
      staged.delete(record);
      throw error;
    }
  }

  /** What was published for this message is for nobody. */
  drop({ loan }: IncomingMessage): void {
    if (this.#staged.delete(loan)) this.#flow.stage(loan).catch(() => {});
  }

  /** Counts what was published with these acks. */
  committed(acks: readonly Delivery[], refused: readonly Delivery[]): void {
    const { stats, events } = this.#core;
    for (const delivery of acks) {
      const staged = this.#staged.get(delivery);
      if (staged === undefined || refused.includes(delivery)) continue;
      stats.published += staged.size;
      if (!events.has('message.published')) continue;
      for (const { id, topic } of staged) events.emit('message.published', { id, topic });
    }
  }
}
