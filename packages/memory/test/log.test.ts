import { expect, it } from 'vitest';
import { Log } from '../src/topic/log.ts';
import { record } from './support/bus.ts';

it('removes from anywhere, over the end of its ring, and goes on being appended to', () => {
  for (let first = 0; first < 16; first++) {
    const log = new Log();
    let seq = 0;
    let left: number[] = [];
    const append = (): void => {
      seq += 2;
      log.append(record('t', { id: `m${seq}` }), seq, seq);
      left.push(seq);
    };
    for (let n = 0; n < 16; n++) append();
    // The ring begins in its middle.
    for (let n = 0; n < first; n++) {
      log.dropOldest();
      left.shift();
      append();
    }
    for (const doomed of [
      [left[0]!],
      [left.at(-1)!, left[3]!, left[3]!, left[4]!, left[3]! + 1, 0, seq + 2, Number.NaN],
    ]) {
      const removed = new Set<number>();
      log.remove(doomed, removed);
      expect(removed).toEqual(new Set(doomed.filter((one) => left.includes(one))));
      left = left.filter((one) => !doomed.includes(one));
      append();
      expect(Array.from(log.records(), (one) => one.seq)).toEqual(left);
      expect(Array.from(log.records(), (one) => one.record.id)).toEqual(left.map((one) => `m${one}`));
      expect(log.fromTime(left[5]!)).toBe(5);
    }
    const all = new Set<number>();
    log.remove(left, all);
    expect([all.size, log.size]).toEqual([left.length, 0]);
  }
});
