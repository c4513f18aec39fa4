import {
  type BrokerSubscription,
  type BusError,
  ConfigError,
  type Delivery,
  isLiteral,
  rememberingMatcher,
  type Sink,
  type Source,
  type Timer,
} from '@ambus/core';
import type { Context, Membership, Sitting } from '../context.ts';
import type { Arg } from '../driver/encode.ts';
import type { Script } from '../driver/script.ts';
import { toBusError } from '../errors.ts';
import { globOf, groupName, streamName } from '../keys.ts';
import { SCRIPTS } from '../scripts/index.ts';
import type { Stored } from '../wire/entry.ts';
import { Bells } from './bells.ts';
import { Fetcher } from './fetcher.ts';
import { Reader } from './reader.ts';
import { Seat } from './seat.ts';
import { ackArgs, byHolder, releaseArgs } from './settle.ts';
import { startOf } from './start.ts';
import { nameOf, Window } from './window.ts';

const NONE: readonly Delivery[] = Object.freeze([]);

/** A member of a durable group. */
export class GroupSubscription implements BrokerSubscription, Membership {
  readonly #context: Context;
  readonly #source: Source;
  readonly #sink: Sink;
  readonly #name: string;
  readonly #window: Window;
  readonly #seats: readonly Seat[];
  readonly #fetcher: Fetcher;
  readonly #bells: Bells;
  readonly #timers = new Map<Seat, Timer>();
  #closed = false;

  constructor(context: Context, source: Source, sink: Sink, reader: boolean) {
    const { names, session } = context;
    const { pattern, prefetch, room } = source;
    this.#context = context;
    this.#source = source;
    this.#sink = sink;
    this.#name = groupName(source.group!, pattern);
    this.#window = new Window(prefetch, room, sink);
    const tags = isLiteral(pattern) ? [names.tagOf(pattern)] : names.tags;
    this.#seats = tags.map((tag) => this.#newSeat(tag, reader));
    const [first] = tags as [string];
    this.#fetcher = new Fetcher({
      session,
      window: this.#window,
      seats: this.#seats,
      prefetch,
      reader: reader ? new Reader(session, first, streamName(first, pattern, '2'), this.#name) : undefined,
      sendAck: (records) => this.#sendAck(records),
      rideArgs: (records) => ackArgs(context, this.#name, records[0]!.holder, records),
      unwanted: (records) => void this.release(records).catch(() => {}),
      recover: (seat) => this.#recover(seat),
      next: (seat, delay) => this.#schedule(seat, delay),
    });
    this.#bells = new Bells(context, {
      group: this.#name,
      special: isLiteral(pattern) ? `${names.root}B:${pattern}` : undefined,
      plain: isLiteral(pattern) && !reader ? `${names.root}b:${pattern}` : undefined,
      glob: isLiteral(pattern) ? undefined : `${names.root}[bB]:${globOf(pattern)}`,
      matches: rememberingMatcher(pattern),
      rung: (topic) => this.#rung(topic),
      deleted: () => this.#check(),
    });
  }

  #newSeat(tag: string, hasReader: boolean): Seat {
    return new Seat(tag, this.#name, this.#source.pattern, hasReader, this.#context, {
      lost: (member) => {
        const lost = this.#window.forget(member);
        if (lost.length > 0) this.#sink.lost(lost);
      },
      deleted: () => {
        const { pattern: topic, group } = this.#source;
        this.fail(new ConfigError(`group "${group}" on "${topic}" was deleted`, { topic, broker: 'redis' }));
      },
      failed: (error) => {
        const failure = toBusError(error, { topic: this.#source.pattern });
        if (!failure.retryable) this.fail(failure);
      },
      wake: () => this.#fetcher.wake(),
    });
  }

  /** Resolves when everything published from now on reaches the group. */
  async open(): Promise<void> {
    const { session, members } = this.#context;
    await session.ready();
    await this.#bells.open();
    const from = startOf(this.#source.from);
    await Promise.all(this.#seats.map((seat) => seat.join(from)));
    if (this.#closed) return;
    members.add(this);
    this.#fetcher.start();
  }

  // ---- what comes from core -----------------------------------------------------------------------------------------

  ack(deliveries: readonly Delivery[]): Promise<readonly Delivery[]> {
    const records = deliveries as readonly Stored[];
    this.#window.done(records);
    return this.#fetcher.ack(records);
  }

  async #sendAck(records: readonly Stored[]): Promise<readonly Delivery[]> {
    const refused: Stored[] = [];
    for (const [member, own] of byHolder(records)) {
      for (const part of this.#bySeat(own)) {
        const args = ackArgs(this.#context, this.#name, member, part);
        const script = part.some(({ kind }) => kind === 'k') ? SCRIPTS.ack : SCRIPTS.ackPlain;
        const taken = await this.#settle(script, this.#seatOf(part[0]!), args, part);
        if (taken !== 1) refused.push(...part);
      }
    }
    return refused;
  }

  /**
   * Patient for as long as others leave the records to this member.
   *
   * @param handled - what a handler had: where it cannot be settled for now, it comes again, counted
   */
  async #settle(
    script: Script,
    seat: Seat,
    args: readonly Arg[],
    handled: readonly Stored[],
  ): Promise<unknown> {
    const { session, memberLease } = this.#context;
    try {
      return await session.insist(script, seat.tag, args, memberLease);
    } catch (error) {
      for (const record of handled) seat.unsettled.set(nameOf(record), record);
      throw error;
    }
  }

  async nack(delivery: Delivery, delay: number): Promise<readonly Delivery[]> {
    const record = delivery as Stored;
    const { names } = this.#context;
    const isBlocking = this.#source.order === 'block';
    const settled = this.#window.settling([record]);
    const args = [
      names.root,
      this.#name,
      record.holder,
      record.streamTopic,
      record.kind,
      record.entryId,
      record.lane,
      record.attempt,
      Math.max(0, Math.ceil(delay)),
      isBlocking ? 1 : 0,
    ];
    const seat = this.#seatOf(record);
    try {
      const taken = await this.#settle(SCRIPTS.nack, seat, args, [record]);
      if (taken !== 1) return [delivery];
      if (isBlocking && record.kind === 'k') {
        const followers = this.#window.recall(
          (other) => other.kind === 'k' && other.lane.equals(record.lane),
        );
        if (followers.length > 0) await this.release(followers);
      }
      if (delay > 0) this.#schedule(seat, delay);
      return NONE;
    } finally {
      settled();
      this.#fetcher.wake();
    }
  }

  async release(deliveries: readonly Delivery[]): Promise<void> {
    const records = deliveries as readonly Stored[];
    const settled = this.#window.settling(records);
    try {
      for (const [member, own] of byHolder(records)) {
        for (const part of this.#bySeat(own)) {
          const args = releaseArgs(this.#context, this.#name, member, part);
          await this.#settle(SCRIPTS.release, this.#seatOf(part[0]!), args, []);
        }
      }
    } finally {
      settled();
      this.#fetcher.wake();
    }
  }

  async pause(): Promise<void> {
    const rest = await this.#fetcher.stop();
    const given = this.#window.takeBuffer();
    const all = [...rest, ...given];
    // Without a connection their leases run out.
    if (all.length > 0 && this.#context.session.isUp) await this.release(all).catch(() => {});
  }

  resume(room?: number): void {
    this.#window.makeRoom(room);
    if (!this.#closed) this.#fetcher.start();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#end();
    const { session, names } = this.#context;
    if (!session.isUp) return;
    await Promise.allSettled(
      this.#seats.map((seat) => session.run(SCRIPTS.leave, seat.tag, [names.root, this.#name, seat.member])),
    );
  }

  async #end(): Promise<void> {
    this.#closed = true;
    const { members, host } = this.#context;
    members.delete(this);
    for (const timer of this.#timers.values()) host.clock.clearTimeout(timer);
    this.#timers.clear();
    await this.#fetcher.close();
    this.#bells.close();
  }

  fail(error: BusError): void {
    if (this.#closed) return;
    void this.#end();
    this.#sink.failed(error);
  }

  // ---- what comes from the server -----------------------------------------------------------------------------------

  #rung(topic: string): void {
    const seat = this.#seats.length === 1 ? this.#seats[0]! : this.#seatIn(this.#context.names.tagOf(topic));
    seat.topics.add(topic);
    seat.hot.add(topic);
    this.#fetcher.wake();
  }

  /** Retries become due without a bell. */
  #schedule(seat: Seat, delay: number): void {
    const { clock } = this.#context.host;
    clock.clearTimeout(this.#timers.get(seat));
    if (delay < 0 || this.#closed) return;
    const due = (): void => {
      seat.isDue = true;
      for (const topic of seat.topics.size === 1 ? seat.topics : []) seat.hot.add(topic);
      this.#fetcher.wake();
    };
    this.#timers.set(seat, clock.setTimeout(due, Math.max(1, delay)));
  }

  #check(): void {
    for (const seat of this.#seats) void seat.resume().catch(() => {});
  }

  #seatOf({ streamTopic }: Stored): Seat {
    return this.#seats.length === 1 ? this.#seats[0]! : this.#seatIn(this.#context.names.tagOf(streamTopic));
  }

  #bySeat(records: readonly Stored[]): Iterable<readonly Stored[]> {
    if (this.#seats.length === 1) return [records];
    return Map.groupBy(records, (record) => this.#seatOf(record)).values();
  }

  #seatIn(tag: string): Seat {
    return this.#seats.find((seat) => seat.tag === tag)!;
  }

  // ---- by the clock -------------------------------------------------------------------------------------------------

  poll(): void {
    for (const seat of this.#seats) {
      if (seat.isLost) void seat.resume().catch(() => {});
      else seat.heat();
      // What was sent over a connection that is gone may reach the server later than the look after it.
      if (performance.now() - seat.lookedAt > this.#context.memberLease) seat.isDoubtful = true;
    }
    this.#fetcher.wake();
  }

  interrupted(): void {
    this.#fetcher.interrupted();
  }

  async restore(): Promise<void> {
    await Promise.all(this.#seats.map((seat) => this.#fetcher.recover(seat)));
    this.#fetcher.wake();
  }

  /** What was on its way when a connection broke is nobody's and goes back untouched; core had what was not settled. */
  async #recover(seat: Seat): Promise<void> {
    const { member, unsettled } = seat;
    const { names, session } = this.#context;
    const held = await seat.resume();
    const known = this.#window.known();
    const args = [names.root, this.#name, member];
    let isLost = false;
    for (const { topic, kind, id } of held) {
      const name = `${topic} ${kind} ${id}`;
      if (known.has(name)) continue;
      const record = unsettled.get(name);
      if (record !== undefined) {
        this.nack(record, 0).catch(() => {});
      } else {
        args.push(topic, kind, id, '');
        isLost = true;
      }
    }
    unsettled.clear();
    if (isLost) await session.run(SCRIPTS.release, seat.tag, args);
  }

  seatsIn(tag: string): readonly Sitting[] {
    return this.#seats.filter((seat) => seat.tag === tag && seat.isJoined);
  }

  topicsChanged(tag: string): void {
    if (isLiteral(this.#source.pattern)) return;
    const { session, names } = this.#context;
    const seat = this.#seatIn(tag);
    session.run(SCRIPTS.topics, tag, [names.root, this.#source.pattern]).then(
      (reply) => {
        const now = new Set((reply as [unknown, Buffer[]])[1].map(String));
        for (const topic of seat.topics) if (!now.has(topic)) seat.topics.delete(topic);
        for (const topic of now) {
          if (!seat.topics.has(topic)) seat.hot.add(topic);
          seat.topics.add(topic);
        }
        this.#fetcher.wake();
      },
      () => {},
    );
  }
}
