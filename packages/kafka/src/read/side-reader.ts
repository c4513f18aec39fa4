import type { InRecord } from '../driver/records.ts';
import { offsetsAt } from '../group/positions.ts';
import type { Hub } from '../hub.ts';
import { LogReader, type Track } from './reader.ts';

/** Follows the ends of topics of the bus's own: announcements and replies. */
export class SideReader {
  readonly #hub: Hub;
  #reader: LogReader | undefined;

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
        this.#reader?.remove(track);
        this.#hub.lostTopic(topic);
        this.#again(track);
      },
    };
    this.#reader.add(track);
    return () => this.#reader?.remove(track);
  }

  close(): void {
    this.#reader?.close();
  }

  /** The topic was deleted under us: made again, and read from its start. */
  #again(track: Track): void {
    const { hub } = { hub: this.#hub };
    hub.own(track.topic, track.partition + 1).then(
      () => {
        track.offset = 0;
        this.#reader?.add(track);
      },
      () => setTimeout(() => this.#again(track), 1_000).unref(),
    );
  }
}
