import { expect, it } from 'vitest';
import { Ranges } from '../../src/feed/ranges.ts';
import { random } from './support.ts';

it('is the same as a set of offsets, whatever is added and removed', () => {
  const next = random(1);
  for (let round = 0; round < 200; round++) {
    const ranges = new Ranges();
    let model = new Set<number>();
    for (let step = 0; step < 40; step++) {
      const start = next(40);
      const end = start + next(6);
      const what = next(5);
      if (what < 3) {
        ranges.add(start, end);
        for (let offset = start; offset < end; offset++) model.add(offset);
      } else if (what === 3) {
        ranges.remove(start, end);
        for (let offset = start; offset < end; offset++) model.delete(offset);
      } else if (next(6) === 0) {
        ranges.dropBelow(start);
        model = new Set([...model].filter((offset) => offset >= start));
      }
      const held = Array.from({ length: 50 }, (_, offset) => offset).filter((offset) => ranges.has(offset));
      expect(held).toEqual([...model].sort((a, b) => a - b));
      expect(ranges.size).toBe(model.size);
      expect(ranges.empty).toBe(model.size === 0);
      // As few ranges as there can be, in order.
      const list = [...ranges];
      expect(list).toHaveLength(ranges.count);
      for (const [index, [from, to]] of list.entries()) {
        expect(from).toBeLessThan(to);
        if (index > 0) expect(from).toBeGreaterThan(list[index - 1]![1]);
      }
      let behind = start;
      while (model.has(behind)) behind++;
      expect(ranges.endFrom(start)).toBe(behind);
    }
  }
});
