import { Reader, Writer } from '../driver/bytes.ts';

/** What a member tells of itself when it joins. */
export interface MemberState {
  /** Slots that it has, those that it is giving up or has not begun with included. */
  readonly owned: readonly number[];
  /** Of these, which it is giving up. */
  readonly draining: readonly number[];
  /** Whether it has heard what is sent to the group, ever. */
  readonly begun: boolean;
  /** Whether it wants any. */
  readonly wants: boolean;
  /** Whether its window is full and does not move: others go first. */
  readonly stuck: boolean;
  /** How many slots the group is to have if it is made now. */
  readonly slots: number;
  /** The name of its transactions, where it has them. */
  readonly transaction?: string | undefined;
}

/** What the leader tells every member. */
export interface Assignment {
  /** Slots of this member from now on; what it has beyond them it gives up when what is under way there is settled. */
  readonly slots: readonly number[];
  /** How many slots there are. */
  readonly of: number;
  /** Whether others are waiting for slots that are being given up. */
  readonly pending: boolean;
  /** Everybody in the group: what somebody else had is free. */
  readonly members: readonly string[];
  /** The names of the transactions of them all: what is open under another name of the group is nobody's. */
  readonly transactions?: readonly string[];
}

export interface Member {
  readonly id: string;
  readonly state: MemberState;
}

/**
 * Slots by member: each about as many, each slot where it was if it can stay. A slot that somebody else still has goes to
 * nobody yet: its owner joins again once it has given it up. A slot never has two owners.
 */
export function plan(members: readonly Member[], of: number): Map<string, number[]> {
  const wanting = members.filter(({ state }) => state.wants).sort((a, b) => (a.id < b.id ? -1 : 1));
  const moving = wanting.filter(({ state }) => !state.stuck);
  // Where nobody wants any, they stay somewhere all the same: there has to be an owner who hears what becomes of loans.
  const all = wanting.length > 0 ? wanting : [...members].sort((a, b) => (a.id < b.id ? -1 : 1));
  const able = moving.length > 0 ? moving : all;
  const planned = new Map<string, number[]>(members.map(({ id }) => [id, []]));
  const taken = new Set<number>();
  for (const { state } of members) for (const slot of state.owned) taken.add(slot);
  if (able.length === 0) return planned;
  const share = Math.floor(of / able.length);
  let larger = of % able.length;
  for (const { id, state } of able) {
    const keepable = state.owned.filter((slot) => slot < of);
    // What is being given up is the first to go.
    keepable.sort((a, b) => Number(state.draining.includes(a)) - Number(state.draining.includes(b)));
    let keep = share;
    if (keepable.length > share && larger > 0) {
      keep++;
      larger--;
    }
    planned.get(id)!.push(...keepable.slice(0, keep));
  }
  const free = Array.from({ length: of }, (_, slot) => slot).filter((slot) => !taken.has(slot));
  for (const slot of free) {
    const poorest = able.reduce((least, one) =>
      planned.get(one.id)!.length < planned.get(least.id)!.length ? one : least,
    );
    planned.get(poorest.id)!.push(slot);
  }
  return planned;
}

/** As Kafka's own tools read it: version, topics, and ours behind. */
export function writeMember(topics: readonly string[], state: MemberState): Buffer {
  const to = new Writer();
  to.i16(0).list(topics, (topic) => to.text(topic));
  return to.bytes(Buffer.from(JSON.stringify(state))).buffer;
}

export function readMember(metadata: Buffer): MemberState {
  const from = new Reader(metadata);
  from.i16();
  from.list(() => from.text());
  return JSON.parse(from.bytes()!.toString()) as MemberState;
}

export function writeAssignment(
  partitions: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
  assignment: Assignment,
): Buffer {
  const to = new Writer();
  to.i16(0).list(partitions, (one) =>
    to.text(one.topic).list(one.partitions, (partition) => to.i32(partition)),
  );
  return to.bytes(Buffer.from(JSON.stringify(assignment))).buffer;
}

export function readAssignment(data: Buffer): Assignment {
  if (data.length === 0) return { slots: [], of: 1, pending: false, members: [] };
  const from = new Reader(data);
  from.i16();
  from.list(() => {
    from.text();
    from.list(() => from.i32());
  });
  return JSON.parse(from.bytes()!.toString()) as Assignment;
}
