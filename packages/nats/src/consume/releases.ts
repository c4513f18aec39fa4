import { text } from '../server/api.ts';
import type { Space } from '../server/space.ts';
import type { Loan } from './delivery.ts';

/**
 * Deliveries that were given back unhandled. The server counts them; how many of a record's deliveries were such lies
 * beside it in the stream, so that its attempt stays right over members and restarts. Only a record that is delivered
 * more than once is looked up.
 */
export async function releasesOf(space: Space, consumer: string, seq: number): Promise<number> {
  try {
    const found = await space.api.last(space.own, space.names.released(consumer, seq));
    const count = found === undefined ? 0 : Number(text(found));
    return Number.isInteger(count) && count > 0 ? count : 0;
  } catch {
    return 0;
  }
}

/** Remembers that these deliveries do not count. What cannot be remembered counts: better one attempt too many. */
export async function rememberReleases(
  space: Space,
  consumer: string,
  loans: readonly Loan[],
): Promise<void> {
  await Promise.allSettled(
    loans.map(({ seq, delivered, attempt }) =>
      space.api.store(
        space.names.released(consumer, seq),
        String(delivered - attempt + 1),
        'Nats-Rollup: sub\r\n',
      ),
    ),
  );
}

/** The record is done with. What takes the note's place goes by itself: a purge is not for every account. */
export function forgetReleases(space: Space, consumer: string, seq: number): void {
  const headers = 'Nats-Rollup: sub\r\nNats-TTL: 1s\r\n';
  space.api.store(space.names.released(consumer, seq), '', headers).catch(() => {});
}
