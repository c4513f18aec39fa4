import type { Kind } from './wire/entry.ts';

/**
 * Names on the server. Prefixes, groups and topics hold letters, digits, "_", "-" and ".", patterns "*" and "#" besides, so
 * ":" and "|" keep them apart and every name can be read back.
 */
export interface Names {
  /** The tags of the shards; all keys of a shard begin with its tag, so they lie in one slot of a cluster. */
  readonly tags: readonly string[];
  /** What channels begin with. They know no database, so its number is in it. */
  readonly root: string;
  tagOf(topic: string): string;
}

export function names(prefix: string, db: number, shards: number): Names {
  const tags = Array.from({ length: shards }, (_, n) => `{${prefix}.${n}}`);
  return {
    tags,
    root: `${prefix}@${db}:`,
    tagOf: shards === 1 ? () => tags[0]! : (topic) => tags[hash(topic) % shards]!,
  };
}

export function streamName(tag: string, topic: string, kind: Kind): string {
  return `${tag}:stream:${topic}:${kind}`;
}

/** A group of a pattern, as it is called on every stream. */
export function groupName(group: string, pattern: string): string {
  return `${group}|${pattern}`;
}

/** Everything that a pattern matches, and more, as the server's globs can say it. */
export function globOf(pattern: string): string {
  // "a.#" is also "a".
  return pattern.replaceAll('.#', '*').replaceAll('#.', '*').replaceAll('#', '*').replace(/\*+/g, '*');
}

/** FNV-1a over the characters, all of which are ASCII. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value >>> 0;
}
