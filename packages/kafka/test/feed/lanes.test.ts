import { expect, it } from 'vitest';
import { Entry } from '../../src/feed/entry.ts';
import { Lanes } from '../../src/feed/lanes.ts';
import { ReadyQueue } from '../../src/feed/ready.ts';
import { KafkaRecord } from '../../src/wire/record.ts';
import { feedOf, raw } from './support.ts';

function setup(most = 100) {
  const ready = new ReadyQueue();
  const lanes = new Lanes(ready, most);
  const { part: makePart } = feedOf();
  const one = makePart();
  const other = makePart({ partition: 1 });
  let order = 0;
  const enter = (part = one, key = 'k') => {
    const record = raw(order, { key: Buffer.from(key) });
    const entry = new Entry(new KafkaRecord(record, 'durable', 't', 't', 0, true), part, 2, order++);
    const lane = lanes.of(key);
    entry.lane = lane;
    lane.push(entry);
    lanes.offer(lane);
    return entry;
  };
  /** Hands out all that may go. */
  const take = () => {
    const taken: Entry[] = [];
    for (let entry = ready.take(); entry !== undefined; entry = ready.take()) {
      const lane = entry.lane!;
      if (lane.next !== entry || lane.lent >= lanes.most) continue;
      lane.take();
      lanes.offer(lane);
      taken.push(entry);
    }
    return taken;
  };
  const settle = (entry: Entry) => {
    entry.lane!.lent--;
    entry.lane!.unblock(entry);
    lanes.tidy(entry.lane);
  };
  return { lanes, ready, one, other, enter, take, settle };
}

it('hands the records of a key out in order, and as many as core may have of it', () => {
  const { enter, take, settle, lanes } = setup(2);
  const all = Array.from({ length: 5 }, () => enter());
  expect(take()).toEqual(all.slice(0, 2));
  expect(take()).toEqual([]);
  settle(all[0]!);
  expect(take()).toEqual([all[2]]);
  for (const entry of all.slice(1, 3)) settle(entry);
  expect(take()).toEqual(all.slice(3));
  for (const entry of all.slice(3)) settle(entry);
  expect(lanes.size).toBe(0);
});

it('lets nothing of a key pass what was nacked with order "block"', () => {
  const { enter, take, settle, lanes } = setup();
  const [first, second] = [enter(), enter()];
  expect(take()).toEqual([first, second]);
  const again = first!.again();
  const late = new Entry(again.record, first!.part, 2, first!.order);
  first!.lane!.lent--;
  first!.lane!.block(late);
  second!.lane!.lent--;
  first!.lane!.push(second!);
  lanes.tidy(first!.lane);
  expect(take()).toEqual([]);
  late.lane = first!.lane;
  late.lane!.push(late);
  lanes.offer(late.lane!);
  expect(take()).toEqual([late]);
  expect(take()).toEqual([]);
  settle(late);
  expect(take()).toEqual([second]);
});

it('begins with what was handed out before, also where it was read behind others of its key', () => {
  const { enter, take, settle, one, lanes } = setup();
  const first = enter();
  const { lane } = first;
  const record = new KafkaRecord(raw(9, { key: Buffer.from('k') }), 'durable', 't', 't', 0, true);
  const [again, next] = [1, 2].map((order) => {
    const entry = new Entry(record, one, 2, order);
    entry.lane = lane;
    lane!.block(entry);
    lane!.push(entry);
    lanes.offer(lane!);
    return entry;
  });
  expect(take()).toEqual([again]);
  settle(again!);
  expect(take()).toEqual([next]);
  settle(next!);
  expect(take()).toEqual([first]);
});

it('lets nothing of a key go while another member has something of it', () => {
  const { enter, take, lanes } = setup();
  const lane = lanes.of('k');
  lane.away++;
  const entry = enter();
  expect(take()).toEqual([]);
  lane.away--;
  lanes.tidy(lane);
  expect(take()).toEqual([entry]);
});

it('forgets lanes that are empty once a part is dropped, and offers what waited behind it', () => {
  const { enter, take, lanes, ready, one, other } = setup();
  for (let n = 0; n < 10; n++) enter(one, `only here ${n}`);
  enter(one, 'both');
  const behind = enter(other, 'both');
  const doomed = ({ part }: Pick<Entry, 'part'>) => part === one;
  ready.drop(doomed);
  lanes.drop(doomed);
  expect(lanes.size).toBe(1);
  expect(take()).toEqual([behind]);
});
