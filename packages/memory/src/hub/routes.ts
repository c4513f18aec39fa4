import { type Channel, PatternIndex } from '@ambus/core';
import type { Group } from '../group/group.ts';

type Routed = Exclude<Channel, 'reply'>;

/** Which groups and private subscriptions get the records of a topic, by channel. */
export class Routes {
  readonly #all = new Set<Group>();
  /** A private subscription has no name and is only found by its pattern. */
  readonly #named = new Map<string, Group>();
  #index: Readonly<Record<Routed, PatternIndex<Group>>> = emptyIndex();

  targets(channel: Routed, topic: string): readonly Group[] {
    return this.#index[channel].lookup(topic);
  }

  find(channel: Routed, pattern: string, name: string): Group | undefined {
    return this.#named.get(`${channel} ${pattern} ${name}`);
  }

  add(group: Group): void {
    this.#all.add(group);
    this.#index[group.channel].add(group.pattern, group);
    if (group.name !== undefined) this.#named.set(`${group.channel} ${group.pattern} ${group.name}`, group);
  }

  remove(group: Group): void {
    if (!this.#all.delete(group)) return;
    this.#index[group.channel].remove(group.pattern, group);
    if (group.name !== undefined) this.#named.delete(`${group.channel} ${group.pattern} ${group.name}`);
  }

  /** The groups that outlive their members. */
  durable(): Group[] {
    return [...this.#named.values()].filter((group) => group.durable);
  }

  /** Ends all of them. */
  clear(): void {
    for (const group of this.#all) group.end();
    this.#all.clear();
    this.#named.clear();
    this.#index = emptyIndex();
  }
}

function emptyIndex(): Record<Routed, PatternIndex<Group>> {
  return { durable: new PatternIndex(), ephemeral: new PatternIndex(), request: new PatternIndex() };
}
