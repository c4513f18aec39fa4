import type { Clock, Timer } from '@ambus/core';
import type { ChannelSubscription } from './channels/subscription.ts';
import type { Context } from './context.ts';
import { TRIM_EVERY, trimShard } from './publish/trim.ts';
import { SCRIPTS } from './scripts/index.ts';

/** Milliseconds between two looks at what nobody rang for, and between two at the list of topics where nothing else asks. */
const POLL = 1_000;
/** Beats within the lease of a member: some may fail. */
const BEATS = 4;
/** Milliseconds that listeners of Pub/Sub stay known after their bus died, and between two renewals. */
export const LISTENER_LEASE = 30_000;
const LISTENER_BEAT = 8_000;
/** The longest time without a look at what is delayed: whoever was to announce it may have died. */
const LONGEST_DELAY = 5_000;
/** The shortest time between two warnings of one topic: what is delayed and refused is tried again and again. */
const WARN_EVERY = 600_000;

/** Does what has to be done again and again while a bus is connected. */
export class Keeper {
  readonly #context: Context;
  readonly #listeners: () => Iterable<ChannelSubscription>;
  readonly #clock: Clock;
  #timers: Timer[] = [];
  readonly #promotions = new Map<string, Timer>();
  readonly #versions = new Map<string, string>();
  /** By tag: since when the others can say that they live. */
  readonly #upSince = new Map<string, number>();
  /** By topic: when it was last warned of. */
  readonly #warnedAt = new Map<string, number>();
  #stopped = true;
  readonly #delayed = (message: Buffer): void => this.#promoteSoon(message.toString(), 0);

  constructor(context: Context, listeners: () => Iterable<ChannelSubscription>) {
    this.#context = context;
    this.#listeners = listeners;
    this.#clock = context.host.clock;
  }

  async open(): Promise<void> {
    await this.#context.ears.listen(`${this.#context.names.root}d`, this.#delayed);
  }

  start(): void {
    this.stop();
    this.#stopped = false;
    // Each shard for itself: one whose server is gone must not cost the others their leases.
    const beat = this.#context.memberLease / BEATS;
    for (const tag of this.#context.names.tags) {
      this.#upSince.set(tag, performance.now());
      this.#every(beat, () => this.#beatIn(tag, beat));
    }
    this.#every(POLL, async () => {
      for (const member of this.#context.members) member.poll();
    });
    this.#every(LISTENER_BEAT, () => this.renewListeners());
    for (const tag of this.#context.names.tags) this.#every(TRIM_EVERY, () => trimShard(this.#context, tag));
    for (const tag of this.#context.names.tags) this.#promoteSoon(tag, Math.random() * 100);
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of [...this.#timers, ...this.#promotions.values()]) this.#clock.clearTimeout(timer);
    this.#timers = [];
    this.#promotions.clear();
  }

  #every(interval: number, work: () => Promise<void>): void {
    const timers = this.#timers;
    const at = timers.length;
    const next = (): void => {
      timers[at] = this.#clock.setTimeout(() => {
        work()
          .catch(() => {})
          .finally(() => {
            // Work that outlasts its connection must not go on beside that of the next one.
            if (this.#timers === timers) next();
          });
      }, interval);
    };
    next();
  }

  /** @param patience - milliseconds: no beat is to be late because of the one before */
  async #beatIn(tag: string, patience: number): Promise<void> {
    const { members, session, names, memberLease } = this.#context;
    const seats = [...members].flatMap((member) => member.seatsIn(tag));
    if (members.size === 0) return;
    const since = performance.now();
    // After an outage for all, the others get the time to say that they live.
    const look = since - this.#upSince.get(tag)! > (1.5 * memberLease) / BEATS ? 1 : 0;
    const named = seats.map(({ group, member }) => ({ group, member }));
    const args = [names.root, memberLease, look, ...named.flatMap(({ group, member }) => [group, member])];
    const beat = session.run(SCRIPTS.beat, tag, args, patience).catch((error: unknown) => {
      this.#upSince.set(tag, performance.now());
      throw error;
    });
    const [epoch, version, states] = (await beat) as [Buffer, Buffer, number[]];
    for (const [at, state] of states.entries()) {
      const seat = seats[at]!;
      if (seat.member !== named[at]!.member) continue;
      if (state === 1) seat.renewed(since);
      else seat.lost(state < 0, state === -2 ? '' : String(epoch));
    }
    const known = this.#versions.get(tag);
    this.#versions.set(tag, String(version));
    if (known === String(version)) return;
    for (const member of members) member.topicsChanged(tag);
  }

  async renewListeners(): Promise<void> {
    const byTag = new Map<string, string[]>();
    for (const listener of this.#listeners()) {
      for (const tag of listener.tags) {
        const args = byTag.get(tag) ?? [];
        args.push(...listener.registration());
        byTag.set(tag, args);
      }
    }
    const { session, names } = this.#context;
    const renewals = Array.from(byTag, async ([tag, args]) => {
      if (args.length > 0) await session.run(SCRIPTS.listen, tag, [names.root, LISTENER_LEASE, ...args]);
    });
    await Promise.all(renewals);
  }

  #promoteSoon(tag: string, delay: number): void {
    if (this.#stopped) return;
    this.#clock.clearTimeout(this.#promotions.get(tag));
    const promote = async (): Promise<void> => {
      let next = LONGEST_DELAY;
      try {
        const { session, names, settings } = this.#context;
        const args = [names.root, settings.trimUnacked ? 1 : 0];
        const [due, ...refused] = (await session.run(SCRIPTS.promote, tag, args)) as [number, ...Buffer[]];
        if (due >= 0) next = Math.min(due, LONGEST_DELAY);
        for (let at = 0; at < refused.length; at += 2)
          this.#warn(String(refused[at]), String(refused[at + 1]));
      } finally {
        this.#promoteSoon(tag, next);
      }
    };
    const timer = this.#clock.setTimeout(() => void promote().catch(() => {}), Math.max(delay, 1));
    this.#promotions.set(tag, timer);
  }

  #warn(topic: string, reason: string): void {
    const time = performance.now();
    if (time - (this.#warnedAt.get(topic) ?? Number.NEGATIVE_INFINITY) < WARN_EVERY) return;
    this.#warnedAt.set(topic, time);
    this.#context.host.warning(
      `a delayed message of "${topic}" is due and the server refuses it, it is tried again every minute: ${reason}`,
      { topic, reason },
    );
  }
}
