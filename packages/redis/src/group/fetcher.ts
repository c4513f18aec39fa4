import type { Delivery } from '@ambus/core';
import type { Arg } from '../driver/encode.ts';
import type { Session } from '../driver/session.ts';
import { isBroken } from '../errors.ts';
import type { Stored } from '../wire/entry.ts';
import type { Reader } from './reader.ts';
import type { Seat } from './seat.ts';
import type { Window } from './window.ts';

/** Milliseconds after a read or take that failed. */
const PAUSE = 100;

/** What a fetcher works with. */
export interface FetcherSettings {
  readonly session: Session;
  readonly window: Window;
  readonly seats: readonly Seat[];
  readonly prefetch: number;
  /** Only for a member that has one topic. */
  readonly reader: Reader | undefined;
  sendAck(records: readonly Stored[]): Promise<readonly Delivery[]>;
  /** Arguments of an ack that rides on a read; all records have one holder. */
  rideArgs(records: readonly Stored[]): Arg[];
  /** Gives back what came for nobody. */
  unwanted(records: readonly Stored[]): void;
  /** Finds what the server says that the seat holds, and nobody here knows of. Nothing may be on its way to it. */
  recover(seat: Seat): Promise<void>;
  /** The next retry of a seat is due in so many milliseconds; -1: none is. */
  next(seat: Seat, delay: number): void;
}

interface WaitingAck {
  readonly records: readonly Stored[];
  readonly answer: PromiseWithResolvers<readonly Delivery[]>;
  readonly settled: () => void;
}

/**
 * Decides when to fetch, and how. Where there are only plain messages on one topic, one read after the other waits at the
 * server and takes the acks along. Keys, priorities and retries are taken by a script when a bell, a timer or the poll says
 * that there are some.
 */
export class Fetcher {
  readonly #settings: FetcherSettings;
  readonly #laneLimit: number;
  #isRunning = false;
  #isClosed = false;
  #isReading = false;
  #isScheduled = false;
  /** Room that takes under way may use. */
  #asked = 0;
  #keysFirst = false;
  /** Of the seat that was asked last: another one is asked first the next time. */
  #turn = 0;
  #acks: WaitingAck[] = [];
  /** What came while nobody wanted it. */
  #rest: Stored[] = [];
  readonly #work = new Set<Promise<void>>();
  #pauseUntil = 0;
  #yielding = false;

  constructor(settings: FetcherSettings) {
    this.#settings = settings;
    this.#laneLimit = Math.max(1, settings.prefetch >> 2);
  }

  start(): void {
    this.#isRunning = true;
    for (const seat of this.#settings.seats) seat.heat();
    this.wake();
  }

  /** Fetches no more. Resolves to what was on its way. */
  async stop(): Promise<Stored[]> {
    this.#isRunning = false;
    if (this.#isReading) this.#settings.reader?.unblock();
    await Promise.all(this.#work);
    return this.#rest.splice(0);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.stop();
    this.#pump();
    this.#settings.reader?.close();
  }

  interrupted(): void {
    this.#settings.reader?.drop();
  }

  /** Looks what there is to do, after whatever happens now. */
  wake(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#pump();
    });
  }

  ack(records: readonly Stored[]): Promise<readonly Delivery[]> {
    const { reader, window } = this.#settings;
    const settled = window.settling(records);
    if (reader === undefined || this.#isReading || !this.#isRunning) {
      this.wake();
      return this.#settings.sendAck(records).finally(settled);
    }
    const answer = Promise.withResolvers<readonly Delivery[]>();
    this.#acks.push({ records, answer, settled });
    this.#yielding = false;
    this.wake();
    return answer.promise;
  }

  #pump(): void {
    const { session, window, seats, reader } = this.#settings;
    if (this.#isRunning) window.flush();
    // Also while it pauses: nobody else gets what the server takes for ours.
    if (session.isUp && !this.#isClosed && performance.now() >= this.#pauseUntil) {
      for (const seat of seats) if (seat.isDoubtful && seat.isJoined) this.#track(this.recover(seat));
    }
    if (this.#isRunning && session.isUp && performance.now() >= this.#pauseUntil && !this.#yielding) {
      for (let n = 0; n < seats.length; n++) {
        const room = window.room - this.#asked;
        if (room <= 0) break;
        const seat = seats[(this.#turn + 1) % seats.length]!;
        this.#turn++;
        if (seat.isHot && !seat.isTaking && !seat.isDoubtful && seat.isJoined)
          this.#track(this.#take(seat, room));
      }
      if (reader !== undefined && !this.#isReading) this.#read(reader, seats[0]!);
    }
    for (const { records, answer, settled } of this.#acks.splice(0)) {
      this.#settings.sendAck(records).finally(settled).then(answer.resolve, answer.reject);
    }
  }

  #track(work: Promise<void>): void {
    this.#work.add(work);
    void work.finally(() => this.#work.delete(work));
  }

  /** What is known must be all that came: while something is on its way to the seat, this is put off. */
  async recover(seat: Seat): Promise<void> {
    const { reader } = this.#settings;
    const mayComeYet = seat.isTaking || this.#isReading || this.#rest.length > 0;
    seat.isDoubtful = mayComeYet;
    if (mayComeYet) return;
    seat.isTaking = true;
    try {
      await reader?.endLost();
      await this.#settings.recover(seat);
    } catch {
      seat.isDoubtful = true;
      this.#rests();
    } finally {
      seat.isTaking = false;
      this.wake();
    }
  }

  async #take(seat: Seat, room: number): Promise<void> {
    seat.isTaking = true;
    this.#asked += room;
    this.#keysFirst = !this.#keysFirst;
    try {
      const taken = await seat.take(room, this.#laneLimit, this.#keysFirst);
      if (taken === undefined) return;
      this.#settings.next(seat, taken.next);
      this.#admit(taken.entries);
    } catch (error) {
      seat.heat();
      if (isBroken(error)) seat.isDoubtful = true;
      // A cluster stays up without the node that was asked.
      if (this.#settings.session.isUp) this.#rests();
    } finally {
      this.#asked -= room;
      seat.isTaking = false;
      this.wake();
    }
  }

  #admit(entries: Stored[]): void {
    if (this.#isRunning) this.#settings.window.admit(entries);
    else this.#rest.push(...entries);
  }

  #rests(): void {
    this.#pauseUntil = performance.now() + PAUSE;
    setTimeout(() => this.wake(), PAUSE + 1).unref();
  }

  /** @param coming - entries that are here and not yet admitted */
  #read(reader: Reader, seat: Seat, coming = 0): void {
    const { window, prefetch } = this.#settings;
    const room = Math.min(window.room - coming, Math.max(1, prefetch >> 1));
    if (seat.isHot || seat.isTaking || seat.isDoubtful || !seat.isJoined || room <= 0) return;
    if (!reader.isOpen) {
      reader.open().then(
        () => this.wake(),
        () => this.#rests(),
      );
      return;
    }
    // A read under a lease that is gone would bring what nobody looks after.
    if (!seat.isFresh) return;
    this.#isReading = true;
    this.#track(this.#readOnce(reader, seat, room));
  }

  async #readOnce(reader: Reader, seat: Seat, count: number): Promise<void> {
    const { member } = seat;
    const riding = this.#riders(member);
    const all = riding.flatMap(({ records }) => records);
    const args = all.length === 0 ? undefined : this.#settings.rideArgs(all);
    const { entries, acked } = reader.read(member, count, args);
    if (acked !== undefined) this.#settleRiders(riding, acked);
    try {
      const fresh = seat.readPlain(await entries, member);
      this.#isReading = false;
      const isFull = fresh.length === count;
      // More is there: the server gets it ready while the handlers run.
      if (isFull && this.#isRunning && this.#settings.session.isUp) this.#read(reader, seat, count);
      if (seat.member === member) this.#admit(fresh);
      else if (fresh.length > 0) this.#settings.unwanted(fresh);
      if (fresh.length === 0 || isFull) this.wake();
      else this.#yield();
    } catch (error) {
      this.#isReading = false;
      seat.heat();
      if (isBroken(error)) {
        reader.drop();
        seat.isDoubtful = true;
      }
      this.#rests();
    }
  }

  /** Handlers that are quick have acked by then, and their acks go out with the next read. */
  #yield(): void {
    this.#yielding = true;
    setImmediate(() =>
      setImmediate(() => {
        this.#yielding = false;
        this.wake();
      }),
    );
  }

  #riders(member: string): readonly WaitingAck[] {
    const riding = this.#acks.filter(({ records }) =>
      records.every(({ holder, kind }) => holder === member && kind !== 'k'),
    );
    if (riding.length > 0) this.#acks = this.#acks.filter((ack) => !riding.includes(ack));
    return riding;
  }

  /** An ack whose answer is lost with the connection goes out once more by itself. */
  #settleRiders(riding: readonly WaitingAck[], acked: Promise<unknown>): void {
    acked.then(
      (taken) => {
        for (const { records, answer, settled } of riding) {
          settled();
          answer.resolve(taken === 1 ? [] : records);
        }
      },
      () => {
        for (const { records, answer, settled } of riding) {
          this.#settings.sendAck(records).finally(settled).then(answer.resolve, answer.reject);
        }
      },
    );
  }
}
