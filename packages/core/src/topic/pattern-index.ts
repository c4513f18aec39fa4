interface Node<T> {
  readonly children: Map<string, Node<T>>;
  values: T[];
}

/** Topics that are remembered with their answer; the map is dropped when it has grown to this. */
const CACHED_TOPICS = 10_000;

/**
 * Finds what is registered under the patterns that match a topic. The cost of a lookup depends on the topic's length,
 * not on how many patterns there are, and is one map access for a topic that was asked for before.
 */
export class PatternIndex<T> {
  readonly #root: Node<T> = { children: new Map(), values: [] };
  readonly #known = new Map<string, readonly T[]>();

  /** Registers `value` under `pattern`. The same value may be under several; a lookup then finds it once. */
  add(pattern: string, value: T): void {
    let node = this.#root;
    for (const segment of pattern.split('.')) {
      let child = node.children.get(segment);
      if (child === undefined) {
        child = { children: new Map(), values: [] };
        node.children.set(segment, child);
      }
      node = child;
    }
    node.values.push(value);
    this.#known.clear();
  }

  /** Takes `value` away from `pattern`. */
  remove(pattern: string, value: T): void {
    const path: [Node<T>, string][] = [];
    let node = this.#root;
    for (const segment of pattern.split('.')) {
      const child = node.children.get(segment);
      if (child === undefined) return;
      path.push([node, segment]);
      node = child;
    }
    node.values = node.values.filter((other) => other !== value);
    for (const [parent, segment] of path.reverse()) {
      const child = parent.children.get(segment)!;
      if (child.values.length > 0 || child.children.size > 0) break;
      parent.children.delete(segment);
    }
    this.#known.clear();
  }

  /** Everything whose pattern matches `topic`, each value once. The array is shared: do not change it. */
  lookup(topic: string): readonly T[] {
    let found = this.#known.get(topic);
    if (found === undefined) {
      const values = new Set<T>();
      this.#collect(this.#root, topic.split('.'), 0, values, new Set());
      found = [...values];
      if (this.#known.size >= CACHED_TOPICS) this.#known.clear();
      this.#known.set(topic, found);
    }
    return found;
  }

  /** `seen` holds the (`#` node, place) pairs already tried, which keeps many `#` from multiplying. */
  #collect(node: Node<T>, segments: readonly string[], at: number, into: Set<T>, seen: Set<unknown>): void {
    const hash = node.children.get('#');
    if (hash !== undefined) this.#skip(hash, segments, at, into, seen);
    if (at === segments.length) {
      for (const value of node.values) into.add(value);
      return;
    }
    const exact = node.children.get(segments[at]!);
    if (exact !== undefined) this.#collect(exact, segments, at + 1, into, seen);
    const any = node.children.get('*');
    if (any !== undefined) this.#collect(any, segments, at + 1, into, seen);
  }

  #skip(hash: Node<T>, segments: readonly string[], from: number, into: Set<T>, seen: Set<unknown>): void {
    if (seen.has(hash)) {
      // Tried from an earlier place, which included all later ones.
      return;
    }
    seen.add(hash);
    for (let at = from; at <= segments.length; at++) this.#collect(hash, segments, at, into, seen);
  }
}
