import { classOf, type RecordClass } from '../names.ts';
import { infoOf } from '../server/consumers.ts';
import type { ClassOwner, GroupLoan } from './class-flow.ts';
import type { Blocked } from './lane.ts';
import { Removed } from './removed.ts';

/** The keys of a lane whose nacked record holds back the rest of them until it is acked. */
export class BlockedKeys {
  readonly #owner: ClassOwner;
  readonly #recordClass: RecordClass;
  readonly #consumer: string;
  /** All that is unsettled here. */
  readonly #loans: ReadonlySet<GroupLoan>;
  readonly #removed: Removed;
  #inherited = false;

  constructor(owner: ClassOwner, recordClass: RecordClass, consumer: string, loans: ReadonlySet<GroupLoan>) {
    this.#owner = owner;
    this.#recordClass = recordClass;
    this.#consumer = consumer;
    this.#loans = loans;
    this.#removed = new Removed(owner.space);
  }

  get all(): Blocked {
    return this.#owner.turns.blocked((key) => this.#isOf(key));
  }

  /** The last owner of the lane says what blocks its keys. */
  inherit(blocked: Blocked): void {
    for (const [key, seq] of blocked) this.#owner.turns.inherit(key, seq);
    this.#inherited = blocked.length > 0;
  }

  /** The lane is somebody else's: what blocks its keys is that one's business. */
  forget(): void {
    this.#owner.turns.unblock((key) => this.#isOf(key));
  }

  /** Lets keys go on whose record was settled before the last owner could say so. */
  async checkInherited(): Promise<void> {
    if (!this.#inherited) return;
    const before = new Set(this.#loans);
    const info = await infoOf(this.#owner.space, this.#consumer).catch(() => undefined);
    if (info === undefined) return;
    // Only those were unsettled for certain when the server counted.
    const held = [...this.#loans].filter((loan) => before.has(loan)).length;
    const areAllHere = info.num_ack_pending <= held;
    const away = this.#away;
    const settled = away.filter(([, seq]) => areAllHere || seq <= info.ack_floor.stream_seq);
    this.#inherited = settled.length < away.length;
    this.#letGo(settled);
  }

  /** Lets keys go on whose record was removed by somebody, or by the stream's own limits. */
  async checkRemoved(): Promise<void> {
    this.#letGo(await this.#removed.among(this.#away));
  }

  /** Those whose record waits at the server. */
  get #away(): Blocked {
    const here = new Set([...this.#loans].map(({ seq }) => seq));
    return this.all.filter(([, seq]) => !here.has(seq));
  }

  /** These will not come again. */
  #letGo(blocked: Blocked): void {
    if (blocked.length === 0) return;
    for (const [key, seq] of blocked) this.#owner.turns.gone(key, seq);
    this.#owner.changed();
  }

  #isOf(key: string): boolean {
    return classOf({ key, priority: 2 }) === this.#recordClass;
  }
}
