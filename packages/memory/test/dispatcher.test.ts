import { afterEach, expect, it, vi } from 'vitest';
import { type Dispatchable, Dispatcher } from '../src/hub/dispatcher.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

it('goes on with the others after one that throws', () => {
  const runs: (() => void)[] = [];
  vi.stubGlobal('queueMicrotask', (run: () => void) => runs.push(run));
  const log: string[] = [];
  const target = (name: string): Dispatchable => ({
    scheduled: false,
    dispatch() {
      log.push(name);
      if (name === 'broken') throw new RangeError('broken');
    },
  });
  const dispatcher = new Dispatcher(() => log.push('after'));
  const [broken, sound] = [target('broken'), target('sound')];
  dispatcher.schedule(broken);
  dispatcher.schedule(sound);
  expect(() => runs.shift()!()).toThrow('broken');
  runs.shift()!();
  expect(log).toEqual(['broken', 'after', 'sound', 'after']);
  for (const one of [broken, sound]) expect(one.scheduled).toBe(false);
  expect(runs).toEqual([]);
});
