/** The whole numbers from 0 on, `count` of them. */
export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}

/** Without repetitions, in ascending order. */
export function distinct(list: readonly number[]): number[] {
  return [...new Set(list)].sort((a, b) => a - b);
}

export function ascending(list: readonly number[]): number[] {
  return list.toSorted((a, b) => a - b);
}
