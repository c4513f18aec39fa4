import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Agenda } from '../../src/feed/agenda.ts';
import { random } from './support.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('runs each at its time and in order, except what was removed', () => {
  const next = random(3);
  const ran: number[] = [];
  const agenda = new Agenda<{ readonly due: number; readonly order: number; readonly doomed: boolean }>(
    ({ due }) => {
      expect(Date.now()).toBeGreaterThanOrEqual(due);
      ran.push(due);
    },
  );
  const now = Date.now();
  const items = Array.from({ length: 2_000 }, (_, order) => ({
    due: now + next(100_000),
    order,
    doomed: next(3) === 0,
  }));
  for (const item of items) agenda.add(item);
  agenda.remove(({ doomed }) => doomed);
  vi.advanceTimersByTime(50_000);
  const left = items.filter(({ doomed }) => !doomed).map(({ due }) => due);
  const order = (dues: number[]) => dues.sort((a, b) => a - b);
  expect(ran).toEqual(order(left.filter((due) => due <= now + 50_000)));
  agenda.add({ due: now + 50_001, order: 0, doomed: false });
  vi.advanceTimersByTime(50_000);
  expect(ran).toHaveLength(left.length + 1);
  expect(agenda.size).toBe(0);
});

it('waits longer than a timer can', () => {
  const ran: number[] = [];
  const agenda = new Agenda<{ readonly due: number; readonly order: number }>(
    ({ due }) => void ran.push(due),
  );
  const due = Date.now() + 2 ** 32;
  agenda.add({ due, order: 0 });
  vi.advanceTimersByTime(2 ** 31);
  expect(ran).toEqual([]);
  vi.advanceTimersByTime(2 ** 31);
  expect(ran).toEqual([due]);
});

it('keeps the order of those that are due at the same time', () => {
  const ran: number[] = [];
  const agenda = new Agenda<{ readonly due: number; readonly order: number }>(
    ({ order }) => void ran.push(order),
  );
  const orders = Array.from({ length: 100 }, (_, order) => order);
  for (const order of orders) agenda.add({ due: Date.now() + 10, order });
  vi.advanceTimersByTime(10);
  expect(ran).toEqual(orders);
});
