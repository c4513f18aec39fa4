import { createHash } from 'node:crypto';
import { pattern } from './topics/match.ts';
import { MappedTopics } from './topics/shared.ts';

/**
 * What a Kafka topic holds of a bus topic. The first, the topic itself, is what other programs read and write; then what
 * has another rank, is delayed, is exactly once, is a request, is ephemeral. The last are a group's retries.
 */
export type Kind = 'main' | 'p0' | 'p1' | 'p3' | 'p4' | 'd' | 'x' | 'r' | 'e' | 'q';

/** Those of durable topics; a consumer reads them all. */
export const DURABLE_KINDS: readonly Kind[] = ['main', 'p0', 'p1', 'p3', 'p4', 'd', 'x'];

/** A topic on the server. */
export interface Place {
  /** Name without the kind. */
  readonly base: string;
  readonly kind: Kind;
  /** The bus topic; undefined where the name does not tell: it was too long, or is shared by several. */
  readonly topic: string | undefined;
}

/** Longest name that Kafka takes is 249; the rest is for the kind. */
const MAX_BASE = 240;
/** Begins the part of a name that is no segment of a topic: in those every dash is doubled. */
const MARK = '.-';

/**
 * Kafka takes "a.b" and "a_b" for one name, so "_" never stands in ours: "_" becomes "-u" and "-" becomes "--".
 */
export function encodeName(name: string): string {
  return name.replaceAll('-', '--').replaceAll('_', '-u');
}

export function decodeName(name: string): string {
  return name.replace(/-([-u])/g, (_, escaped: string) => (escaped === 'u' ? '_' : '-'));
}

/** The names of one prefix. */
export class Names {
  readonly prefix: string;
  readonly mapped: MappedTopics = new MappedTopics();
  readonly #start: string;

  constructor(prefix: string) {
    this.prefix = prefix;
    this.#start = `${encodeName(prefix)}.`;
  }

  /** Where every bus of the prefix hears of new topics, and groups note that they exist. */
  get control(): string {
    return `${this.#start}-control`;
  }

  get replies(): string {
    return `${this.#start}-replies`;
  }

  base(topic: string): string {
    const name = this.#start + encodeName(topic);
    return name.length <= MAX_BASE ? name : `${this.#start}-h${hash(topic)}`;
  }

  place(base: string, kind: Kind): string {
    return kind === 'main' ? base : `${base}${MARK}${kind}`;
  }

  /** What a topic on the server is; undefined when it is none of this prefix's topics, nor one that an option names. */
  parse(name: string): Place | undefined {
    const [, base = name, kind = 'main'] = /^(.*)\.-([a-z][0-9]?)$/.exec(name) ?? [];
    if (this.mapped.mapped(base) && (kind === 'main' || KINDS.has(kind)))
      return { base, kind: kind as Kind, topic: this.mapped.topicOf(base) };
    if (!name.startsWith(this.#start)) return undefined;
    const rest = name.slice(this.#start.length);
    const hashed = /^(-h[0-9a-f]{40})(?:\.-([a-z0-9]+))?$/.exec(rest);
    if (hashed !== null) return this.#placeOf(`${this.#start}${hashed[1]}`, hashed[2], undefined);
    if (/^-(?![-u])/.test(rest)) return undefined;
    const at = /\.-(?!u)(?=[a-z][0-9]?$)/.exec(rest)?.index ?? -1;
    const topic = at < 0 ? rest : rest.slice(0, at);
    return this.#placeOf(this.#start + topic, at < 0 ? undefined : rest.slice(at + 2), decodeName(topic));
  }

  #placeOf(base: string, kind: string | undefined, topic: string | undefined): Place | undefined {
    const known = kind === undefined || KINDS.has(kind);
    return known ? { base, kind: (kind ?? 'main') as Kind, topic } : undefined;
  }

  /** @param channel - `durable` groups are named plainly; those of the others differ, since they may have the same pattern */
  group(group: string, wanted: string, channel: 'durable' | 'ephemeral' | 'request'): string {
    return `${this.prefix}.${group}.${wanted}${channel === 'durable' ? '' : `~${channel}`}`;
  }

  parseGroup(id: string): { group: string; pattern: string } | undefined {
    const [prefix, group, ...rest] = id.split('.');
    if (prefix !== this.prefix || group === undefined || rest.length === 0 || id.includes('~'))
      return undefined;
    return { group, pattern: rest.join('.') };
  }

  /** Where a group's retries wait that its position cannot hold. */
  retries(groupId: string): string {
    const { group = 'group' } = this.parseGroup(groupId) ?? {};
    return `${this.#start}-retries.${encodeName(group)}.${hash(groupId).slice(0, 16)}`;
  }

  /** Whether a place may hold records that a pattern is for. */
  matches(wanted: string, place: Place): boolean {
    if (place.topic !== undefined) return pattern(wanted)(place.topic);
    return !this.mapped.mapped(place.base) || this.mapped.meets(place.base, wanted);
  }
}

const KINDS: ReadonlySet<string> = new Set(['p0', 'p1', 'p3', 'p4', 'd', 'x', 'r', 'e']);

function hash(text: string): string {
  return createHash('sha1').update(text).digest('hex');
}
