import type { Feature } from '@ambus/core';
import type { CaseContext } from './context.ts';

/** Chapters of the suite, in the order in which they are reported. */
export const CHAPTERS = [
  'basics',
  'patterns',
  'groups',
  'settlement',
  'order',
  'retries',
  'dead-letters',
  'time',
  'requests',
  'delivery',
  'batching',
  'resilience',
  'lifecycle',
  'provisioning',
  'faults',
] as const;
/** A chapter's name, with which the ids of its cases start. */
export type Chapter = (typeof CHAPTERS)[number];

/** What a case does to the server, or needs around it. See `ServerControl`. */
export type Power =
  | 'wipe'
  | 'cut'
  | 'crash'
  | 'raw'
  | 'restart'
  | 'pause'
  | 'blackhole'
  | 'halfOpen'
  | 'slow'
  | 'cluster'
  | 'processes'
  | 'credentials'
  | 'tls'
  | 'restricted'
  | 'nowhere';

/** One thing that every broker must show. */
export interface Case {
  /** Stable, `chapter/what-it-shows`: results of different runs and versions are compared by it. */
  readonly id: string;
  /** A sentence that is true when the case passes. */
  readonly name: string;
  /** Capabilities that it shows. Where the broker says `none`, `refused` runs in its place. */
  readonly needs?: readonly Feature[];
  /** What it needs of the server's control; without it the case is reported as "needs a server". */
  readonly power?: readonly Power[];
  /** It does something to the server that other cases would feel: it runs on a server of its own. */
  readonly isolated?: boolean;
  /** Milliseconds that it may take. Default 20,000, and more as the setup has more patience. */
  readonly timeout?: number;
  /** Shows it: throws when it does not hold. */
  run(t: CaseContext): Promise<void>;
  /**
   * Shows that a broker which claims not to offer it refuses it with an `UnsupportedError` and does not do it after all: a
   * claim that is too modest fails, too.
   */
  refused?(t: CaseContext): Promise<void>;
}

/** Puts the cases of a chapter together; ids get the chapter's name. */
export function chapter(name: Chapter, cases: readonly Case[]): readonly Case[] {
  for (const { id } of cases) {
    if (!id.startsWith(`${name}/`)) throw new TypeError(`case "${id}" must start with "${name}/"`);
  }
  return cases;
}
