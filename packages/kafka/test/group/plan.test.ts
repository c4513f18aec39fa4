import { expect, it } from 'vitest';
import {
  type Member,
  plan,
  readAssignment,
  readMember,
  writeAssignment,
  writeMember,
} from '../../src/group/plan.ts';
import { random } from '../feed/support.ts';

function member(id: string, state: Partial<Member['state']> = {}): Member {
  return {
    id,
    state: { owned: [], draining: [], begun: false, wants: true, stuck: false, slots: 6, ...state },
  };
}

it('shares slots evenly', () => {
  const planned = plan([member('a'), member('b'), member('c')], 7);
  expect([...planned.values()].map(({ length }) => length).sort()).toEqual([2, 2, 3]);
  expect([...planned.values()].flat().sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
});

it('gives a slot to nobody while somebody has it', () => {
  const planned = plan([member('a', { owned: [0, 1, 2, 3] }), member('b')], 4);
  expect(planned.get('a')).toHaveLength(2);
  expect(planned.get('b')).toEqual([]);
});

it('gives nothing to who wants nothing, unless nobody does', () => {
  expect(plan([member('a', { wants: false }), member('b')], 3).get('a')).toEqual([]);
  const nobody = plan([member('a', { wants: false }), member('b', { wants: false })], 2);
  expect([...nobody.values()].flat().sort()).toEqual([0, 1]);
});

it('takes from who is stuck', () => {
  const planned = plan([member('a', { owned: [0, 1], stuck: true }), member('b')], 2);
  expect(planned.get('a')).toEqual([]);
});

it('comes to an even share of all slots, without ever giving one to two', () => {
  const next = random(4);
  for (let round = 0; round < 300; round++) {
    const of = 1 + next(12);
    const owned = new Map<string, Set<number>>();
    for (let n = 0; n <= next(6); n++) owned.set(`m${n}`, new Set());
    for (let step = 0; step < 6; step++) {
      const change = next(4);
      if (change === 0) owned.set(`m${next(8)}`, new Set());
      if (change === 1 && owned.size > 1) owned.delete([...owned.keys()][next(owned.size)]!);
      // Twice: what one gives up goes to another at the next.
      for (let turn = 0; turn < 3; turn++) {
        const members = Array.from(owned, ([id, slots]) => member(id, { owned: [...slots] }));
        const planned = plan(members, of);
        const given = [...planned.values()].flat();
        expect(new Set(given).size).toBe(given.length);
        for (const [id, slots] of planned) {
          for (const slot of slots) {
            for (const [other, has] of owned) if (other !== id) expect(has.has(slot)).toBe(false);
          }
        }
        for (const [id, slots] of planned) owned.set(id, new Set(slots));
      }
      const sizes = Array.from(owned.values(), ({ size }) => size);
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(of);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }
  }
});

it('writes what it reads', () => {
  const { state } = member('a', { owned: [1, 5], draining: [5], stuck: true });
  expect(readMember(writeMember(['x', 'ü'], state))).toEqual(state);
  const assignment = { slots: [1], of: 4, pending: true, members: ['a', 'b'] };
  expect(readAssignment(writeAssignment([], assignment))).toEqual(assignment);
  expect(readAssignment(Buffer.alloc(0)).slots).toEqual([]);
});
