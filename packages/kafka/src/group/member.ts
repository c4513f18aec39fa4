import { type BusError, ConfigError, ConnectionError, UnsupportedError } from '@ambus/core';
import { type Cluster, wait } from '../driver/cluster.ts';
import { Code, isPassing, isRefusal, serverError } from '../driver/errors.ts';
import { heartbeat, joinGroup, leaveGroup, type Membership, syncGroup } from '../driver/group-requests.ts';
import type { Link } from '../driver/link.ts';
import type { Settings } from '../options.ts';
import {
  type Assignment,
  type MemberState,
  plan,
  readAssignment,
  readMember,
  writeAssignment,
  writeMember,
} from './plan.ts';

/** What the member needs of the subscription that it is a member for. */
export interface MemberHost {
  state(): MemberState;
  /** What positions of the group lie on: the server forgets those of topics that nobody lists. */
  topics(): Promise<readonly string[]>;
  /** How many slots the group has, of members that have just joined: asked of the leader. */
  slots(members: readonly MemberState[]): Promise<number>;
  assigned(assignment: Assignment): Promise<void> | void;
  /** The membership is over without having been given up: all slots may be somebody else's. */
  lost(): void;
  /** It will never work. */
  failed(error: BusError): void;
}

const PROTOCOL = 'ambus';
const BACKOFF = 50;
const LONGEST_BACKOFF = 1_000;
/** Milliseconds, in a settled group, before the server is told of topics that appeared or went: it forgets only after days. */
const LISTING = 60_000;
/** Milliseconds before a member that the others know by an earlier id joins again. */
const RENAMED = 100;
/** Milliseconds that leaving may take. */
const LEAVING = 1_000;

/** Membership in one Kafka group: joins, gives signs of life, joins again whenever the group changes. */
export class GroupMember {
  readonly group: string;
  readonly #cluster: Cluster;
  readonly #settings: Settings;
  readonly #host: MemberHost;
  #membership: Membership;
  #link: Link | undefined;
  #joined = false;
  #again = false;
  #closed = false;
  #lastSign = 0;
  /** Its id before its lease ended: until that has left, the server may have the group wait for it. */
  #former = '';
  /** How often its lease has ended. */
  #losses = 0;
  /** Topics that the server was told of, and when. */
  #listed = '';
  #listedAt = 0;
  /** Settles when the server has named this member; until then it cannot leave. */
  #naming: Promise<unknown> | undefined;
  #kick: (() => void) | undefined;
  #refusal: ConfigError | undefined;
  #watch: NodeJS.Timeout | undefined;
  #loop: Promise<void> | undefined;

  constructor(group: string, cluster: Cluster, settings: Settings, host: MemberHost) {
    this.group = group;
    this.#cluster = cluster;
    this.#settings = settings;
    this.#host = host;
    this.#membership = { group, generation: -1, member: '', instance: settings.groupInstanceId };
  }

  /** What commits are made with; undefined while there is no membership. */
  get membership(): Membership | undefined {
    return this.#membership.generation < 0 ? undefined : this.#membership;
  }

  /** Whether the group is settled, with this member in it. */
  get stable(): boolean {
    return this.#joined;
  }

  start(): void {
    this.#watch = setInterval(() => this.#expire(), Math.max(50, this.#settings.sessionTimeout / 8)).unref();
    this.#loop = this.#run();
  }

  /** The state has changed: tells the leader. */
  rejoin(): void {
    this.#again = true;
    this.#kick?.();
  }

  /** A commit was accepted, which counts as a sign of life. */
  alive(since: number): void {
    if (since > this.#lastSign) this.#lastSign = since;
  }

  /** The server does not know the membership any more. */
  expelled(): void {
    if (this.membership === undefined) return;
    // Perhaps another has the same static id: the next sign of life tells, and joining again would only expel that one.
    if (this.#membership.instance === null) this.#forget();
    this.#kick?.();
  }

  /** Its commits are refused for good: nothing that it does would be kept. */
  refused(error: ConfigError): void {
    this.#refusal = error;
    this.#kick?.();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#watch);
    this.#kick?.();
    try {
      await this.#leave();
    } catch {
      // Its session ends by itself.
    }
    this.#link?.close();
    await this.#loop;
  }

  async #leave(): Promise<void> {
    // A static member that goes keeps its place until its session ends: that is what it is for.
    if (this.#membership.instance !== null) return;
    if (this.#naming !== undefined) await Promise.race([this.#naming, wait(LEAVING)]);
    const member = this.#membership.member || this.#former;
    if (member === '' || this.#cluster.closed) return;
    const node = await this.#cluster.coordinator(this.group);
    await this.#cluster.send(node, leaveGroup({ ...this.#membership, member }), LEAVING);
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#closed) {
      try {
        this.#again = false;
        this.#joined = false;
        await this.#join();
        failures = 0;
        this.#joined = true;
        await this.#stay();
      } catch (error) {
        if (this.#closed || this.#cluster.closed) return;
        // Anything else may pass, a refused password too: they are changed while programs run.
        if (ConfigError.is(error) || UnsupportedError.is(error)) {
          this.#forget();
          this.#host.failed(error);
          return;
        }
        this.#link?.close();
        this.#link = undefined;
        this.#cluster.forgetCoordinator(this.group);
        failures++;
        await wait(Math.min(LONGEST_BACKOFF, BACKOFF * 2 ** failures) * (0.5 + Math.random() / 2));
      }
    }
  }

  async #join(): Promise<void> {
    const { sessionTimeout, rebalanceTimeout, requestTimeout } = this.#settings;
    if (this.#link === undefined || this.#link.closed) {
      this.#link = await this.#cluster.dedicated(await this.#cluster.coordinator(this.group));
    }
    const link = this.#link;
    await this.#leaveBehind(link);
    const topics = await this.#host.topics();
    const since = Date.now();
    this.#listed = topics.join();
    this.#listedAt = since;
    const losses = this.#losses;
    const joining = link.send(
      joinGroup({
        group: this.group,
        member: this.#membership.member,
        instance: this.#membership.instance,
        sessionTimeout,
        rebalanceTimeout,
        protocol: PROTOCOL,
        metadata: writeMember(topics, this.#host.state()),
      }),
    );
    if (this.#membership.member === '') this.#naming = joining.catch(() => {});
    const joined = await joining;
    if (joined.error === Code.memberIdRequired) {
      this.#membership = { ...this.#membership, member: joined.member };
      this.#naming = undefined;
      if (this.#closed) return;
      return this.#join();
    }
    this.#naming = undefined;
    this.#check(joined.error, 'joining');
    this.#checkLease(losses);
    this.alive(Math.max(since, Date.now() - sessionTimeout / 4));
    this.#membership = { ...this.#membership, generation: joined.generation, member: joined.member };
    const assignments = joined.leader === joined.member ? await this.#lead(joined.members) : [];
    const at = Date.now();
    const { error, assignment } = await link.send(
      syncGroup(this.#membership, assignments, rebalanceTimeout),
      requestTimeout,
    );
    this.#check(error, 'joining');
    this.#checkLease(losses);
    this.alive(at);
    const assigned = readAssignment(assignment);
    await this.#host.assigned(assigned);
    // A static member that has come back: the group was not told, and waits for what the one before had.
    if (assigned.members.length > 0 && !assigned.members.includes(joined.member)) {
      setTimeout(() => this.rejoin(), RENAMED).unref();
    }
  }

  /** Not to come back under the old id: then others would still wait for what was lent to it, and is lost. */
  async #leaveBehind(link: Link): Promise<void> {
    if (this.#former === '') return;
    const error = await link.send(leaveGroup({ ...this.#membership, member: this.#former }));
    if (isPassing(error)) this.#check(error, 'joining');
    this.#former = '';
  }

  async #lead(
    joined: readonly { readonly id: string; readonly metadata: Buffer }[],
  ): Promise<{ member: string; assignment: Buffer }[]> {
    const members = joined.map(({ id, metadata }) => ({ id, state: readMember(metadata) }));
    const of = await this.#host.slots(members.map(({ state }) => state));
    const planned = plan(members, of);
    let given = 0;
    for (const slots of planned.values()) given += slots.length;
    const pending = given < of && members.some(({ state }) => state.wants);
    const transactions = members.flatMap(({ state }) => state.transaction ?? []);
    const all = members.map(({ id }) => id);
    return Array.from(planned, ([member, slots]) => ({
      member,
      assignment: writeAssignment([], { slots, of, pending, members: all, transactions }),
    }));
  }

  /** Gives signs of life until the group changes. */
  async #stay(): Promise<void> {
    while (!this.#closed && !this.#again) {
      await this.#sleep();
      if (this.#refusal !== undefined) throw this.#refusal;
      if (this.#closed || this.#again) return;
      const at = Date.now();
      const error = await this.#link!.send(heartbeat(this.#membership));
      if (error === Code.rebalanceInProgress) {
        this.alive(at);
        return;
      }
      this.#check(error, 'keeping its place');
      this.alive(at);
      if (at - this.#listedAt < LISTING) continue;
      this.#listedAt = at;
      if ((await this.#host.topics()).join() !== this.#listed) return;
    }
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#settings.heartbeatInterval).unref();
      this.#kick = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #check(error: number, doing: string): void {
    if (error === 0) return;
    if (error === Code.unknownMember || error === Code.illegalGeneration) this.#forget();
    if (error === Code.fencedInstance) {
      throw new ConfigError(
        `groupInstanceId "${this.#membership.instance}" is another member's of the group "${this.group}": each needs its own`,
        { broker: 'kafka' },
      );
    }
    if (isRefusal(error)) {
      throw new ConfigError(`this account may not use the group "${this.group}"`, { broker: 'kafka' });
    }
    if (error === 23 || error === 26 || error === 24) {
      throw new ConfigError(
        `the server refuses the group "${this.group}": ${error === 26 ? 'sessionTimeout is outside what it allows' : 'another program uses its name'}`,
        { broker: 'kafka' },
      );
    }
    throw serverError(error, `${doing} in group "${this.group}"`);
  }

  /** What it has told of itself while it joined must still be so: what it has lost since would be nobody's. */
  #checkLease(losses: number): void {
    if (losses === this.#losses) return;
    throw new ConnectionError(`the lease in group "${this.group}" ended while it changed`, {
      broker: 'kafka',
    });
  }

  #expire(): void {
    if (this.membership !== undefined && Date.now() - this.#lastSign > this.#settings.sessionTimeout)
      this.#forget();
  }

  #forget(): void {
    const had = this.membership !== undefined;
    // Who comes back under a static id takes the place of the one before.
    if (this.#membership.instance === null) this.#former = this.#membership.member || this.#former;
    this.#membership = { ...this.#membership, generation: -1, member: '' };
    this.#joined = false;
    if (!had) return;
    this.#losses++;
    this.#host.lost();
  }
}
