import type { InRecord } from '../driver/records.ts';
import { offsetsAt } from '../group/positions.ts';
import type { Hub } from '../hub.ts';
import { LogReader, type Track } from './reader.ts';

/** Milliseconds before another attempt to make a topic again. */
const AGAIN = 1_000;

/** Follows the ends of topics of the bus's own: announcements and replies. */
export class SideReader {
  readonly #hub: Hub;
  readonly #tracks = new Set<Track>();
  #reader: LogReader | undefined;
  #closed = false;

  constructor(hub: Hub) {
    this.#hub = hub;
  }

  /** Resolves when everything that is published from now on will be seen. The returned function ends it. */
  async add(
    topic: string,
    partition: number,
    each: (records: readonly InRecord[]) => void,
  ): Promise<() => void> {
    const { cluster, catalog, settings } = this.#hub;
    const [place] = await offsetsAt(cluster, catalog, [{ topic, partition }], 'end');
    this.#reader ??= new LogReader(cluster, catalog, { ...settings, minBytes: 1 });
    const track: Track = {
      topic,
      partition,
      offset: place?.offset ?? 0,
      wanted: true,
      take(records, next) {
        track.offset = next;
        if (records.length > 0) each(records);
      },
      outOfRange(start, end) {
        track.offset = track.offset > end ? start : Math.max(start, track.offset);
      },
      gone: () => {
        this.#hub.lostTopic(topic);
        void this.#again(track);
      },
    };
    this.#tracks.add(track);
    this.#reader.add(track);
    return () => {
      this.#tracks.delete(track);
      this.#reader?.remove(track);
    };
  }

  /** Somebody else has made a topic again, perhaps too small: an address in a partition that is not there gets no replies. */
  recreated(topic: string): void {
    for (const track of this.#tracks) if (track.topic === topic) void this.#again(track);
  }

  close(): void {
    this.#closed = true;
    this.#tracks.clear();
    this.#reader?.close();
  }

  /** Made as large as it has to be, and read from its start. */
  async #again(track: Track): Promise<void> {
    this.#reader?.remove(track);
    try {
      await this.#hub.ownAgain(track.topic, track.partition + 1);
    } catch {
      setTimeout(() => {
        if (this.#tracks.has(track)) void this.#again(track);
      }, AGAIN).unref();
      return;
    }
    if (this.#closed || !this.#tracks.has(track)) return;
    track.offset = 0;
    this.#reader?.add(track);
  }
}
