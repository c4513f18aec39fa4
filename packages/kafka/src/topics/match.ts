/** The latest patterns, compiled: subscriptions ask for the same ones again and again. */
const compiled = new Map<string, (topic: string) => boolean>();
const MOST = 1_000;

/** Whether topics match a pattern. */
export function pattern(wanted: string): (topic: string) => boolean {
  let found = compiled.get(wanted);
  if (found === undefined) {
    found = compile(wanted);
    if (compiled.size >= MOST) compiled.clear();
    compiled.set(wanted, found);
  }
  return found;
}

export function isLiteral(wanted: string): boolean {
  return !/[*#]/.test(wanted);
}

function compile(wanted: string): (topic: string) => boolean {
  if (isLiteral(wanted)) return (topic) => topic === wanted;
  const segments = wanted.split('.');
  return (topic) => matches(segments, topic.split('.'));
}

/** Row by row over the segments: no backtracking, however many "#" there are. */
function matches(wanted: readonly string[], topic: readonly string[]): boolean {
  let row: boolean[] = [true, ...topic.map(() => false)];
  for (const segment of wanted) {
    const next: boolean[] = [segment === '#' && row[0]!];
    for (let at = 1; at <= topic.length; at++) {
      next[at] =
        segment === '#'
          ? row[at]! || next[at - 1]!
          : row[at - 1]! && (segment === '*' || segment === topic[at - 1]);
    }
    row = next;
  }
  return row[topic.length]!;
}
