import { type BusError, ConfigError, ConnectionError, UnsupportedError } from '@ambus/core';
import { type Cluster, wait } from '../driver/cluster.ts';
import { Code, isRefusal, serverError } from '../driver/errors.ts';
import type { Link } from '../driver/link.ts';
import { type Fetched, type FetchLimits, fetch } from '../driver/log-requests.ts';
import type { Decoded, InRecord } from '../driver/records.ts';
import { offsetsAt, type Place } from '../group/positions.ts';
import type { Catalog } from '../topics/catalog.ts';
import { decodeMost } from './decode.ts';

/** A partition that is being read. */
export interface Track {
  readonly topic: string;
  readonly partition: number;
  /** Where to fetch next. */
  offset: number;
  /** Whether more is wanted now. */
  readonly wanted: boolean;
  /**
   * What was fetched from `offset` on, and where to go on: behind `records`, also where there are none.
   *
   * @param end - the end of the log then
   * @param start - its start
   */
  take(records: readonly InRecord[], next: number, end: number, start: number): void;
  /** The server has nothing at `offset`: it begins at `start`, or ends at `end`, now. */
  outOfRange(start: number, end: number): void;
  /** The topic is gone, or this account may not read it. */
  gone(error: BusError): void;
}

/**
 * Connections to one server. A fetch that waits for records cannot be called back, so what is wanted meanwhile goes over
 * another connection; the next fetch of the first takes it along.
 */
const LANES = 3;
/** Milliseconds that fetches over the others wait, so that they come back into one soon. */
const SIDE_WAIT = 100;
const BACKOFF = 50;
const LONGEST_BACKOFF = 1_000;

/** Read at a time where single records are wanted. */
const PIECE: FetchLimits = { maxWait: 0, minBytes: 0, maxBytes: 262_144, maxBytesPerPartition: 262_144 };

interface Lane {
  link: Link | undefined;
  busy: boolean;
  failures: number;
}

/** Reads partitions from wherever their leaders are, for one subscription. No groups, no positions: those are its caller's. */
export class LogReader {
  readonly #cluster: Cluster;
  readonly #catalog: Catalog;
  readonly #limits: FetchLimits;
  readonly #tracks = new Set<Track>();
  readonly #busy = new Set<Track>();
  readonly #lanes = new Map<number, Lane[]>();
  /** Called when all that came with one answer has been taken. */
  onRead: () => void = () => {};
  /** Called with what lies in a partition and is no record that anybody can read; it is left out. */
  onUnreadable: (track: Pick<Track, 'topic' | 'partition'>, offset: number, error: unknown) => void =
    () => {};
  /** Tracks without a leader that answers, and since when. */
  readonly #missing = new Map<Track, number>();
  /** Of these, those that wait until the leaders were asked for again. */
  readonly #resting = new Set<Track>();
  #scheduled = false;
  #refreshing = false;
  #closed = false;

  constructor(cluster: Cluster, catalog: Catalog, limits: FetchLimits) {
    this.#cluster = cluster;
    this.#catalog = catalog;
    this.#limits = limits;
  }

  add(track: Track): void {
    this.#tracks.add(track);
    this.wake();
  }

  remove(track: Track): void {
    this.#tracks.delete(track);
    this.#missing.delete(track);
    this.#resting.delete(track);
  }

  /** A piece of what lies from `offset` on, besides what is read in order; `next` is where it ends. */
  async once({ topic, partition }: Place, offset: number): Promise<Decoded> {
    const leader = this.#catalog.known(topic)?.leaders[partition] ?? -1;
    let error: number = Code.leaderNotAvailable;
    if (leader >= 0) {
      const [answer] = await this.#cluster.send(leader, fetch([{ topic, partition, offset }], PIECE));
      if (answer?.error === 0) return decodeMost(answer.records, offset, answer.aborted);
      error = answer?.error ?? error;
    }
    if (error === Code.offsetOutOfRange) {
      const [start] = await offsetsAt(this.#cluster, this.#catalog, [{ topic, partition }], 'earliest');
      if (start !== undefined && start.offset > offset) return { records: [], next: start.offset };
    }
    await this.#catalog.refresh([topic]);
    throw serverError(error, `reading "${topic}"`, topic);
  }

  /** Something may be wanted that was not. */
  wake(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  close(): void {
    this.#closed = true;
    this.#tracks.clear();
    for (const lanes of this.#lanes.values()) for (const { link } of lanes) link?.close();
    this.#lanes.clear();
  }

  #pump(): void {
    if (this.#closed) return;
    const byNode = new Map<number, Track[]>();
    for (const track of this.#tracks) {
      if (!track.wanted || this.#busy.has(track) || this.#resting.has(track)) continue;
      const leader = this.#catalog.known(track.topic)?.leaders[track.partition] ?? -1;
      if (leader < 0) {
        this.#lookFor(track);
        continue;
      }
      const known = byNode.get(leader);
      if (known === undefined) byNode.set(leader, [track]);
      else known.push(track);
    }
    for (const [node, tracks] of byNode) {
      let lanes = this.#lanes.get(node);
      if (lanes === undefined) {
        lanes = Array.from({ length: LANES }, () => ({ link: undefined, busy: false, failures: 0 }));
        this.#lanes.set(node, lanes);
      }
      const lane = lanes.find(({ busy }) => !busy);
      if (lane === undefined) continue;
      lane.busy = true;
      void this.#fetch(node, lane, tracks, lane === lanes[0]);
    }
  }

  async #fetch(node: number, lane: Lane, tracks: readonly Track[], first: boolean): Promise<void> {
    for (const track of tracks) this.#busy.add(track);
    try {
      if (lane.link === undefined || lane.link.closed) lane.link = await this.#cluster.dedicated(node);
      if (this.#closed) {
        lane.link.close();
        return;
      }
      const asked = tracks.map(({ topic, partition, offset }) => ({ topic, partition, offset }));
      const limits = first
        ? this.#limits
        : { ...this.#limits, maxWait: Math.min(SIDE_WAIT, this.#limits.maxWait) };
      const answers = await lane.link.send(fetch(asked, limits));
      lane.failures = 0;
      const places = new Map(tracks.map((track, at) => [`${track.topic}/${track.partition}`, at]));
      for (const answer of answers) {
        const at = places.get(`${answer.topic}/${answer.partition}`);
        if (at !== undefined && !this.#closed) await this.#answer(tracks[at]!, asked[at]!.offset, answer);
      }
      this.onRead();
    } catch (error) {
      if (this.#closed || this.#cluster.closed) return;
      lane.link?.close();
      lane.link = undefined;
      lane.failures++;
      if (ConfigError.is(error) || UnsupportedError.is(error)) {
        for (const track of tracks) if (this.#tracks.has(track)) track.gone(error);
      }
      await wait(Math.min(LONGEST_BACKOFF, BACKOFF * 2 ** lane.failures) * (0.5 + Math.random() / 2));
      this.#refresh(tracks);
    } finally {
      lane.busy = false;
      for (const track of tracks) this.#busy.delete(track);
      this.wake();
    }
  }

  async #answer(track: Track, asked: number, answer: Fetched): Promise<void> {
    const { error } = answer;
    if (!this.#tracks.has(track) || track.offset !== asked) return;
    if (error === 0) {
      this.#missing.delete(track);
      const decoded = await this.#decode(track, asked, answer);
      if (decoded === undefined) return;
      const { records, next } = decoded;
      if (!this.#tracks.has(track) || track.offset !== asked) return;
      if (records.length > 0) {
        // Behind the others: an answer holds only so much, and the first come first.
        this.#tracks.delete(track);
        this.#tracks.add(track);
      }
      track.take(records, next, answer.lastStable, answer.logStart);
    } else if (error === Code.offsetOutOfRange) {
      const place = [{ topic: track.topic, partition: track.partition }];
      const [start, end] = await Promise.all([
        offsetsAt(this.#cluster, this.#catalog, place, 'earliest'),
        offsetsAt(this.#cluster, this.#catalog, place, 'end'),
      ]);
      if (start[0] !== undefined && end[0] !== undefined && track.offset === asked) {
        track.outOfRange(start[0].offset, end[0].offset);
      }
    } else if (isRefusal(error)) {
      track.gone(serverError(error, `reading "${track.topic}"`, track.topic));
    } else {
      this.#lookFor(track);
    }
  }

  async #decode(track: Track, asked: number, answer: Fetched): Promise<Decoded | undefined> {
    try {
      const { records, next, skipped } = await decodeMost(answer.records, asked, answer.aborted);
      if (skipped !== undefined) this.onUnreadable(track, skipped.offset, skipped.error);
      return { records, next };
    } catch (error) {
      if (!UnsupportedError.is(error)) throw error;
      track.gone(error);
      return undefined;
    }
  }

  /** The leader is elsewhere, or there is none: asked for again, and given up only when the topic stays away. */
  #lookFor(track: Track): void {
    const since = this.#missing.get(track) ?? Date.now();
    this.#missing.set(track, since);
    this.#resting.add(track);
    if (Date.now() - since > MISSING && this.#catalog.known(track.topic) === undefined) {
      this.#missing.delete(track);
      track.gone(new ConnectionError(`topic "${track.topic}" is gone`, { broker: 'kafka' }));
      return;
    }
    this.#refresh([track]);
  }

  #refresh(tracks: readonly Track[]): void {
    if (this.#refreshing || this.#closed) return;
    this.#refreshing = true;
    // Longer, the longer it takes.
    let delay = BACKOFF;
    for (const since of this.#missing.values()) delay = Math.max(delay, (Date.now() - since) / 2);
    const names = [...new Set([...tracks, ...this.#missing.keys()].map(({ topic }) => topic))];
    wait(Math.min(LONGEST_BACKOFF, delay))
      .then(() => this.#catalog.refresh(names))
      .catch(() => {})
      .finally(() => {
        this.#refreshing = false;
        this.#resting.clear();
        this.wake();
      });
  }
}

/** Milliseconds that a topic may be unknown to the server before it counts as deleted. */
const MISSING = 1_500;
