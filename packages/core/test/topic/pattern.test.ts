import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePattern, covers, intersects, matches } from '../../src/topic/pattern.ts';
import { PatternIndex } from '../../src/topic/pattern-index.ts';

const segments = (...allowed: string[]) =>
  fc.array(fc.constantFrom(...allowed), { minLength: 1, maxLength: 6 }).map((list) => list.join('.'));
const topics = segments('a', 'b');
const patterns = segments('a', 'b', '*', '#');

/** The definition, word for word: slow and obviously right. */
function defined(pattern: readonly string[], topic: readonly string[]): boolean {
  const [want, ...rest] = pattern;
  if (want === undefined) return topic.length === 0;
  if (want === '#') return defined(rest, topic) || (topic.length > 0 && defined(pattern, topic.slice(1)));
  return topic.length > 0 && (want === '*' || want === topic[0]) && defined(rest, topic.slice(1));
}
const reference = (pattern: string, topic: string): boolean => defined(pattern.split('.'), topic.split('.'));

describe('patterns', () => {
  it.each([
    ['a.*', 'a.b', true],
    ['a.*', 'a', false],
    ['a.*', 'a.b.c', false],
    ['a.#', 'a', true],
    ['a.#', 'a.b.c', true],
    ['logs.#.error', 'logs.error', true],
    ['logs.#.error', 'logs.agent.task.error', true],
    ['logs.#.error', 'logs.error.x', false],
    ['#', 'a.b', true],
    ['#.b.#', 'a.b', true],
    ['*.*', 'a', false],
  ])('%s and %s: %s', (pattern, topic, expected) => {
    expect(matches(pattern, topic)).toBe(expected);
  });

  it('match as defined, compiled and in an index', () => {
    fc.assert(
      fc.property(patterns, patterns, topics, (pattern, other, topic) => {
        const expected = reference(pattern, topic);
        expect(compilePattern(pattern)(topic)).toBe(expected);
        const index = new PatternIndex<string>();
        index.add(pattern, 'one');
        index.add(other, 'two');
        expect(index.lookup(topic).includes('one')).toBe(expected);
        expect(index.lookup(topic).includes('two')).toBe(reference(other, topic));
      }),
      { numRuns: 2_000 },
    );
  });

  it('intersect when some topic matches both', () => {
    fc.assert(
      fc.property(patterns, patterns, topics, (a, b, topic) => {
        if (reference(a, topic) && reference(b, topic)) expect(intersects(a, b)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
    expect(intersects('a.*', 'b.*')).toBe(false);
    expect(intersects('a.b', 'a.b.*')).toBe(false);
  });

  it('are covered only when every topic is', () => {
    fc.assert(
      fc.property(patterns, patterns, topics, (outer, inner, topic) => {
        if (covers(outer, inner) && reference(inner, topic)) expect(reference(outer, topic)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
    expect(covers('a.#', 'a.*.b')).toBe(true);
    expect(covers('a.*', 'a.#')).toBe(false);
  });

  it('stay fast with many #', () => {
    const pattern = Array.from({ length: 8 }, () => '#.x').join('.');
    const topic = Array.from({ length: 16 }, () => 'y').join('.');
    const index = new PatternIndex<number>();
    index.add(pattern, 1);
    const start = performance.now();
    for (let i = 0; i < 1_000; i++) {
      matches(pattern, topic);
      index.add('z', i);
      index.lookup(topic);
    }
    expect(performance.now() - start).toBeLessThan(2_000);
  });
});

describe('an index', () => {
  it('finds a value once, however many of its patterns match', () => {
    const index = new PatternIndex<string>();
    index.add('a.*', 'v');
    index.add('a.#', 'v');
    expect(index.lookup('a.b')).toEqual(['v']);
  });

  it('forgets what is removed, and nothing else', () => {
    const index = new PatternIndex<string>();
    index.add('a.*', 'one');
    index.add('a.*', 'two');
    index.lookup('a.b');
    index.remove('a.*', 'one');
    expect(index.lookup('a.b')).toEqual(['two']);
    index.remove('x.y', 'two');
    expect(index.lookup('a.b')).toEqual(['two']);
  });
});
