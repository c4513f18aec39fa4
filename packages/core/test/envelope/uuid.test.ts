import { expect, it } from 'vitest';
import { uuidTime, uuidv7 } from '../../src/envelope/uuid.ts';

it('makes version 7 ids of the standard form, all different and in order', () => {
  const ids = Array.from({ length: 20_000 }, () => uuidv7(Date.now()));
  for (const id of ids)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(new Set(ids).size).toBe(ids.length);
  expect([...ids].sort()).toEqual(ids);
});

it('uses every variant', () => {
  const variants = new Set(Array.from({ length: 1_000 }, () => uuidv7()[19]));
  expect([...variants].sort()).toEqual(['8', '9', 'a', 'b']);
});

it('carries its time', () => {
  const now = Date.now() + 3_600_000;
  expect(uuidTime(uuidv7(now))).toBe(now);
  expect(uuidTime('no uuid')).toBeUndefined();
});

it('stays in order when the clock goes back a little, and follows it when it was set', () => {
  const later = uuidv7(9_000_000);
  expect(uuidv7(8_999_000) > later).toBe(true);
  expect(uuidTime(uuidv7(1_000))).toBe(1_000);
});
