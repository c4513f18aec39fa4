/** Whether a pattern is a plain topic. */
export function isLiteral(pattern: string): boolean {
  return !pattern.includes('*') && !pattern.includes('#');
}

/**
 * Whether `topic` matches `pattern`: `*` stands for exactly one segment, `#` for zero or more, anywhere and more than
 * once.
 */
export function matches(pattern: string, topic: string): boolean {
  return isLiteral(pattern) ? pattern === topic : compilePattern(pattern)(topic);
}

/** A matcher for many topics. Linear in topic × pattern even for many `#`. */
export function compilePattern(pattern: string): (topic: string) => boolean {
  if (isLiteral(pattern)) return (topic) => topic === pattern;
  if (pattern === '#') return () => true;
  const wanted = pattern.split('.');
  return (topic) => walk(wanted, topic.split('.'), (want, segment) => want === '*' || want === segment);
}

/**
 * Whether `wanted` can consume all of `given`. On a mismatch it falls back to the last `#` only: an earlier one could
 * not do better, as the segments between have been matched at their earliest.
 */
function walk(
  wanted: readonly string[],
  given: readonly string[],
  same: (want: string, segment: string) => boolean,
): boolean {
  let w = 0;
  let g = 0;
  let hash = -1;
  let resume = 0;
  while (g < given.length) {
    if (wanted[w] === '#') {
      hash = w++;
      resume = g;
    } else if (w < wanted.length && same(wanted[w]!, given[g]!)) {
      w++;
      g++;
    } else if (hash >= 0) {
      w = hash + 1;
      g = ++resume;
    } else {
      return false;
    }
  }
  while (wanted[w] === '#') w++;
  return w === wanted.length;
}

/**
 * Whether every topic of pattern `inner` also matches pattern `outer`. Sound, not complete: a true answer is certain, a
 * false one may be wrong for patterns that mix `*` and `#` side by side.
 */
export function covers(outer: string, inner: string): boolean {
  return walk(
    outer.split('.'),
    inner.split('.'),
    (want, segment) => want === segment || (want === '*' && segment !== '#'),
  );
}

/** Whether some topic matches both patterns. */
export function intersects(a: string, b: string): boolean {
  const left = a.split('.');
  const right = b.split('.');
  const known = new Map<number, boolean>();
  const meet = (i: number, j: number): boolean => {
    if (i === left.length && j === right.length) return true;
    const at = i * (right.length + 1) + j;
    let answer = known.get(at);
    if (answer === undefined) {
      const l = left[i];
      const r = right[j];
      answer =
        l === '#' || r === '#'
          ? (l === '#' && meet(i + 1, j)) ||
            (r === '#' && meet(i, j + 1)) ||
            (l === '#' && r !== undefined && meet(i, j + 1)) ||
            (r === '#' && l !== undefined && meet(i + 1, j))
          : l !== undefined && r !== undefined && (l === r || l === '*' || r === '*') && meet(i + 1, j + 1);
      known.set(at, answer);
    }
    return answer;
  };
  return meet(0, 0);
}

/** Topics whose match with a pattern is remembered; the map is dropped when it has grown to this. */
const REMEMBERED_TOPICS = 10_000;

/** As `compilePattern`, for a consumer that sees the same topics over and over. */
export function rememberingMatcher(pattern: string): (topic: string) => boolean {
  const test = compilePattern(pattern);
  if (isLiteral(pattern) || pattern === '#') return test;
  const known = new Map<string, boolean>();
  return (topic) => {
    let answer = known.get(topic);
    if (answer === undefined) {
      answer = test(topic);
      if (known.size >= REMEMBERED_TOPICS) known.clear();
      known.set(topic, answer);
    }
    return answer;
  };
}
