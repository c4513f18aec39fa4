import type { Bus, Subscription } from '@ambus/core';
import type { Hit, Indexed, Topics } from '../topics.ts';

const HITS = 3;

/** Keeps the index, and answers searches in it. */
export class Librarian {
  readonly index: Map<string, Indexed> = new Map();

  /** Learns from what the indexers publish. By path, so hearing of a file twice changes nothing. */
  learn(bus: Bus<Topics>): Promise<Subscription> {
    return bus.subscribe('files.*.indexed', ({ data }) => {
      this.index.set(data.path, data);
    });
  }

  /** Answers requests: with what the handler returns, or with its error. */
  answer(bus: Bus<Topics>): Promise<Subscription> {
    return bus.respond('library.search', ({ data }) => this.search(data.words));
  }

  search(words: string): Hit[] {
    const wanted = words.toLowerCase().split(/\s+/);
    return [...this.index.values()]
      .map(({ path, words }) => ({ path, score: wanted.reduce((sum, word) => sum + (words[word] ?? 0), 0) }))
      .filter(({ score }) => score > 0)
      .sort((a, b) => b.score - a.score || (a.path < b.path ? -1 : 1))
      .slice(0, HITS);
  }
}
