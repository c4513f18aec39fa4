import { TimeoutError } from '@ambus/core';
import type { Arg } from '../driver/encode.ts';
import { toBusError } from '../errors.ts';
import { SCRIPTS } from '../scripts/index.ts';
import type { Call } from './call.ts';
import type { LineSettings } from './line.ts';

/** Scripts on their way at a time: one that runs, and one that is there when it is done. What comes meanwhile gathers. */
const MAX_UNDER_WAY = 2;
/** Operations that are reason enough for one more. */
const FULL = 128;
/** Bytes on their way at a time, or one call. */
const MAX_BYTES = 8 * 1024 * 1024;

/**
 * Sends what is not stored, in one shard: at most once, since whoever answers a request twice does its work twice. Under
 * load many calls share a script; a single one goes out at once.
 */
export class Caster {
  readonly #tag: string;
  readonly #settings: LineSettings;
  #gathered: Call[] = [];
  #size = 0;
  #underWay = 0;
  #bytesUnderWay = 0;

  constructor(tag: string, settings: LineSettings) {
    this.#tag = tag;
    this.#settings = settings;
  }

  push(call: Call): void {
    if (!this.#settings.session.isUp) {
      void this.#wait(call);
      return;
    }
    this.#gathered.push(call);
    this.#size += call.size;
    this.#flow();
  }

  #flow(): void {
    while (
      this.#gathered.length > 0 &&
      this.#bytesUnderWay < MAX_BYTES &&
      (this.#underWay < MAX_UNDER_WAY || this.#size >= FULL)
    ) {
      void this.#send(this.#next());
    }
  }

  /** What fits into one script. */
  #next(): Call[] {
    let count = 0;
    for (let bytes = 0; count < this.#gathered.length && bytes < MAX_BYTES; count++) {
      bytes += this.#gathered[count]!.bytes;
    }
    const calls = this.#gathered.splice(0, count);
    for (const { size } of calls) this.#size -= size;
    return calls;
  }

  async #wait(call: Call): Promise<void> {
    const { session, clock } = this.#settings;
    const timer = clock.setTimeout(
      () => call.fail(new TimeoutError('the connection did not come back in time', { broker: 'redis' })),
      call.deadline - clock.now(),
    );
    try {
      await session.ready();
      if (!call.settled) this.push(call);
    } catch (error) {
      call.fail(toBusError(error));
    } finally {
      clock.clearTimeout(timer);
    }
  }

  async #send(gathered: readonly Call[]): Promise<void> {
    const { session, root, clock } = this.#settings;
    if (!session.isUp) {
      for (const call of gathered) void this.#wait(call);
      return;
    }
    const now = clock.now();
    const calls: Call[] = [];
    const args: Arg[] = [root, session.isCluster ? 0 : 1];
    let bytes = 0;
    let deadline = Number.POSITIVE_INFINITY;
    for (const call of gathered) {
      if (call.deadline <= now) {
        call.fail(new TimeoutError('the deadline of this publish has passed', { broker: 'redis' }));
        continue;
      }
      deadline = Math.min(deadline, call.deadline);
      calls.push(call);
      bytes += call.bytes;
      call.appendTo(args);
    }
    if (calls.length === 0) return;
    this.#underWay++;
    this.#bytesUnderWay += bytes;
    try {
      share(calls, await session.run(SCRIPTS.cast, this.#tag, args, deadline - now));
    } catch (error) {
      const failure = toBusError(error);
      for (const call of calls) call.fail(failure);
    } finally {
      this.#underWay--;
      this.#bytesUnderWay -= bytes;
      this.#flow();
    }
  }
}

/** Every call gets the part of the reply that is about its own operations. */
function share(calls: readonly Call[], reply: unknown): void {
  if (!Array.isArray(reply)) {
    for (const call of calls) call.accept(undefined);
    return;
  }
  let first = 0;
  let at = 0;
  for (const call of calls) {
    const own: unknown[] = [];
    const next = first + call.size;
    for (; at < reply.length && Number(reply[at]) < next; at += 2) {
      own.push(Number(reply[at]) - first, reply[at + 1]);
    }
    call.accept(own);
    first = next;
  }
}
