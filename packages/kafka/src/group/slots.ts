import { BusError, type Source } from '@ambus/core';
import { wait } from '../driver/cluster.ts';
import type { Membership } from '../driver/group-requests.ts';
import type { Feed } from '../feed/feed.ts';
import { Ledger } from '../feed/ledger.ts';
import { Part, type PartOptions } from '../feed/part.ts';
import { type SourceTopic, sourceTopics } from '../feed/topics.ts';
import type { Hub } from '../hub.ts';
import { type Opening, openings } from './openings.ts';
import type { Assignment, MemberState } from './plan.ts';
import { type Marker, makeGroup, type Place, readMarker } from './positions.ts';

/** What the slots need of the member and its committer. */
export interface SlotsHost {
  commit(): Promise<boolean>;
  rejoin(): void;
  membership(): Membership | undefined;
  wants(): boolean;
  /** The name of the member's transactions. With these a slot may not go while core still has something of it. */
  readonly transaction: string | undefined;
  /** Who is in the group now. */
  membersAre(members: ReadonlySet<string>, assignment: Assignment): void;
}

const LOOK = 20;

/**
 * A member's share of its group. A slot is partition `p` of every topic: which topics there are may change at any time
 * without the members having to agree anew, and a key is with one member on all topics of as many partitions.
 */
export class Slots {
  readonly ready: Promise<void>;
  readonly #hub: Hub;
  readonly #source: Source;
  readonly #group: string;
  readonly #feed: Feed;
  readonly #host: SlotsHost;
  readonly #owned = new Set<number>();
  readonly #draining = new Set<number>();
  /** Everybody in the group; who is not here has nothing of it. */
  members: ReadonlySet<string> = new Set();
  stuck = false;
  #marker: Marker | undefined;
  /** What is to be made by this member, since it leads a group that does not exist yet. */
  #making: Omit<Marker, 'generation'> | undefined;
  #of = 1;
  #epoch = 0;
  #sourceTopics: readonly SourceTopic[] = [];
  #adopting = false;
  #pendingPlan = false;
  #looked = false;
  #existed = false;
  #resolve!: () => void;
  #reject!: (error: BusError) => void;

  constructor(hub: Hub, source: Source, group: string, feed: Feed, host: SlotsHost) {
    this.#hub = hub;
    this.#source = source;
    this.#group = group;
    this.#feed = feed;
    this.#host = host;
    this.ready = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.ready.catch(() => {});
  }

  /** Whether something is on its way to this member, or from it to others. */
  get pending(): boolean {
    return this.#adopting || this.#pendingPlan || this.#draining.size > 0;
  }

  state(): MemberState {
    return {
      owned: [...this.#owned],
      draining: [...this.#draining],
      begun: this.#existed,
      wants: this.#host.wants(),
      stuck: this.stuck,
      transaction: this.#host.transaction,
      slots: Math.max(
        this.#hub.settings.partitions,
        ...this.#sourceTopics.map(({ partitions }) => partitions),
      ),
    };
  }

  /** How many slots the group has. */
  get count(): number {
    return this.#of;
  }

  /** What the group has positions on, its note of itself included. */
  async topics(): Promise<readonly string[]> {
    await this.#lookOnce();
    return [...this.#sourceTopics.map(({ name }) => name), this.#hub.names.control];
  }

  async #lookOnce(): Promise<void> {
    if (!this.#looked) this.#sourceTopics = await sourceTopics(this.#hub, this.#source, true);
    this.#looked = true;
  }

  /** As the leader: how many slots there are, and whether the group has to be made first. */
  async lead(members: readonly MemberState[]): Promise<number> {
    const { cluster, names } = this.#hub;
    await this.#lookOnce();
    const marker = await readMarker(cluster, this.#group, names.control);
    // Nobody was there to hear it: what was sent meanwhile is for nobody.
    const fleeting = this.#source.channel !== 'durable' && members.every(({ begun }) => !begun);
    this.#making = undefined;
    if (marker !== undefined && !fleeting) return marker.slots;
    if (this.#hub.host.provision === 'none' && !fleeting) return this.state().slots;
    const slots = marker?.slots ?? Math.max(...members.map((member) => member.slots), this.state().slots);
    this.#making = { slots, since: this.#existed ? 0 : this.#since() };
    return slots;
  }

  assigned(assignment: Assignment): void {
    const epoch = ++this.#epoch;
    this.#of = assignment.of;
    this.members = new Set(assignment.members);
    this.#host.membersAre(this.members, assignment);
    this.#pendingPlan = assignment.pending;
    this.#adopting = true;
    // Before anything is waited for: if it joins again meanwhile, nobody else is to get them.
    for (const slot of assignment.slots) this.#owned.add(slot);
    void this.#adopt(assignment, epoch).catch((error: unknown) => {
      if (epoch !== this.#epoch) return;
      this.#adopting = false;
      if (BusError.is(error) && !error.retryable) this.#reject(error);
      else setTimeout(() => this.#host.rejoin(), LOOK * 5).unref();
    });
  }

  /** Something was settled: what is being given up may be ready to go. */
  settled(): void {
    if (this.#draining.size > 0) void this.#giveUp();
  }

  topicsAppeared(): void {
    const epoch = this.#epoch;
    sourceTopics(this.#hub, this.#source, false)
      .then(async (topics) => {
        if (epoch !== this.#epoch) return;
        // Names and partitions: as many topics may be others, and a topic may have got more partitions.
        this.#sourceTopics = topics;
        if (this.#marker !== undefined && !this.#adopting) await this.#open(epoch);
      })
      .catch(() => {});
  }

  /** The log of a part was deleted and made again, or cut off by a server that had less of it. */
  restarted(part: Part): void {
    this.#feed.lose([part]);
    const topicId = this.#hub.catalog.known(part.topic)?.id;
    const options = { ...part.options, topicId, ledger: new Ledger(0), start: 0, until: 0 };
    this.#feed.add(new Part(options, this.#feed));
    void this.#warnOfTruncation(part).catch(() => {});
  }

  /** Not of a topic that was deleted and made again: its new log has nothing of the old one. */
  async #warnOfTruncation({ topic, partition, options: { topicId } }: Part): Promise<void> {
    const { catalog, host } = this.#hub;
    await catalog.refresh([topic]);
    if (topicId === undefined || catalog.known(topic)?.id !== topicId) return;
    host.warning('a log ends before what the group has read of it: all that it holds is handled again', {
      topic,
      partition,
      group: this.#group,
    });
  }

  lost(): void {
    this.#epoch++;
    this.#adopting = false;
    this.#owned.clear();
    this.#draining.clear();
    this.#feed.lose([...this.#feed.parts.values(), ...this.#feed.detached]);
  }

  close(error: BusError): void {
    this.#epoch++;
    this.#reject(error);
  }

  async #adopt({ slots }: Assignment, epoch: number): Promise<void> {
    const making = this.#making;
    this.#making = undefined;
    if (making !== undefined) await this.#make(making);
    this.#marker = undefined;
    while (this.#marker === undefined) {
      this.#marker = await readMarker(this.#hub.cluster, this.#group, this.#hub.names.control);
      if (epoch !== this.#epoch) return;
      if (this.#marker === undefined) {
        if (this.#hub.host.provision === 'none') this.#marker = { slots: this.#of, since: 0, generation: 0 };
        else await wait(LOOK);
      }
    }
    for (const slot of this.#owned) {
      if (slots.includes(slot)) continue;
      this.#draining.add(slot);
      for (const part of this.#feed.parts.values()) {
        if (part.slot !== slot) continue;
        this.#feed.drain(part);
        if (this.#host.transaction !== undefined) this.#feed.recall(part);
      }
    }
    await this.#lookOnce();
    await this.#open(epoch);
    if (epoch !== this.#epoch) return;
    this.#adopting = false;
    this.#existed = true;
    this.#resolve();
    if (this.#draining.size > 0) await this.#giveUp();
  }

  async #make({ slots, since }: Omit<Marker, 'generation'>): Promise<void> {
    const { cluster, catalog, names } = this.#hub;
    const membership = this.#host.membership();
    if (membership === undefined) return;
    const places = this.#sourceTopics
      .filter(({ kind }) => kind !== 'd' && kind !== 'q')
      .flatMap(({ name, partitions }) => placesOf(name, partitions));
    // One that was there before has lost its note with everything else: all that is there now came after.
    const from = this.#existed ? 'earliest' : this.#source.from;
    const anew = this.#source.channel !== 'durable';
    await makeGroup(cluster, catalog, membership, names.control, { places, from, slots, since, anew });
  }

  /** Reads what of the owned slots is not read yet. */
  async #open(epoch: number): Promise<void> {
    const missing = this.#sourceTopics
      .flatMap(({ name, partitions }) => placesOf(name, partitions))
      .filter(
        ({ topic, partition }) =>
          this.#owned.has(partition % this.#of) &&
          !this.#draining.has(partition % this.#of) &&
          !this.#feed.parts.has(`${topic}/${partition}`),
      );
    if (missing.length === 0) return;
    const places = missing.map((place) => ({ ...place, kind: this.#kindOf(place.topic) }));
    const found = await openings(this.#hub, this.#group, places);
    if (epoch !== this.#epoch) return;
    for (const one of found) {
      if (this.#feed.parts.has(`${one.topic}/${one.partition}`)) continue;
      this.#feed.add(new Part(this.#partOptions(one), this.#feed));
    }
  }

  #partOptions(opening: Opening): PartOptions {
    const {
      kind = 'main',
      busTopic = this.#source.pattern,
      exact = false,
    } = this.#sourceTopics.find(({ name }) => name === opening.topic) ?? {};
    const slot = opening.partition % this.#of;
    const topicId = this.#hub.catalog.known(opening.topic)?.id;
    return { ...opening, topicId, kind, busTopic, exact, slot, notDueBefore: this.#marker?.since ?? 0 };
  }

  #kindOf(topic: string): SourceTopic['kind'] {
    return this.#sourceTopics.find(({ name }) => name === topic)?.kind ?? 'main';
  }

  #since(): number {
    const { from } = this.#source;
    return from === 'new' ? Date.now() : from === 'earliest' ? 0 : from.getTime();
  }

  /**
   * Gives up the slots that are to go, and joins again so that others get them. What core has of them is noted in their
   * accounts as lent; only where that is too much, or not possible, do they wait for it.
   */
  async #giveUp(): Promise<void> {
    const epoch = this.#epoch;
    const member = this.#host.membership()?.member;
    if (member === undefined) return;
    const parts = [...this.#feed.parts.values()];
    const free: number[] = [];
    for (const slot of this.#draining) {
      const own = parts.filter((part) => part.slot === slot);
      if (this.#host.transaction !== undefined && own.some(({ out }) => out.size > 0)) continue;
      for (const part of own) {
        for (const entry of part.out) part.ledger.loans.set(entry.offset, member);
        part.dirty = true;
      }
      if (own.every(({ ledger }) => ledger.encode() !== undefined)) {
        // Before the commit: an ack that came behind it would be in nobody's account.
        for (const part of own) this.#feed.detach(part);
        free.push(slot);
      } else for (const { ledger, out } of own) for (const entry of out) ledger.loans.delete(entry.offset);
    }
    if (free.length === 0) return;
    if (!(await this.#host.commit())) return;
    if (epoch !== this.#epoch) return;
    let left = false;
    for (const slot of free) {
      if (!this.#draining.delete(slot)) continue;
      left = true;
      this.#owned.delete(slot);
      for (const part of parts) if (part.slot === slot) this.#feed.remove(part);
    }
    if (left) this.#host.rejoin();
  }
}

function placesOf(topic: string, partitions: number): Place[] {
  return Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
}
