import { expect, it } from 'vitest';
import { writeHeaders } from '../../src/driver/records.ts';
import { feedOf, raw } from './support.ts';

it('reads no more than its bytes allow, however many partitions there are and whatever these bytes are of', () => {
  const { feed, part } = feedOf();
  const headers = writeHeaders([['h', 'x'.repeat(500)]]);
  const parts = Array.from({ length: 200 }, (_, partition) => part({ partition }));
  let read = 0;
  for (const one of parts) {
    if (!feed.wants(one)) break;
    const records = Array.from({ length: 900 }, (_, offset) => raw(offset, { headers }));
    one.take(records, records.length, records.length);
    read += records.length;
  }
  // 64 MiB, of which each takes about a kilobyte.
  expect(read).toBeGreaterThan(50_000);
  expect(read).toBeLessThan(70_000);
  for (const one of parts) feed.remove(one);
  expect(feed.wants(part())).toBe(true);
});
