import { byTopic, type Request, STORING } from './request.ts';

/** Whose coordinator is asked for. */
export const CoordinatorOf = { group: 0, transaction: 1 } as const;

export function findCoordinator(
  name: string,
  of: number,
): Request<{ readonly error: number; readonly node: { id: number; host: string; port: number } }> {
  return {
    key: 10,
    version: 2,
    name: 'FindCoordinator',
    write: (to) => to.text(name).i8(of),
    read(from) {
      from.i32();
      const error = from.i16();
      from.text();
      return { error, node: { id: from.i32(), host: from.text()!, port: from.i32() } };
    },
  };
}

export interface Joined {
  readonly error: number;
  readonly generation: number;
  readonly leader: string;
  readonly member: string;
  readonly members: readonly { readonly id: string; readonly metadata: Buffer }[];
}

export interface JoinOptions {
  readonly group: string;
  readonly member: string;
  readonly instance: string | null;
  readonly sessionTimeout: number;
  readonly rebalanceTimeout: number;
  readonly protocol: string;
  readonly metadata: Uint8Array;
}

export function joinGroup(options: JoinOptions): Request<Joined> {
  return {
    key: 11,
    version: 5,
    name: 'JoinGroup',
    hold: options.rebalanceTimeout,
    write(to) {
      to.text(options.group).i32(options.sessionTimeout).i32(options.rebalanceTimeout);
      to.text(options.member).text(options.instance).text('consumer');
      to.i32(1).text(options.protocol).bytes(options.metadata);
    },
    read(from) {
      from.i32();
      const error = from.i16();
      const generation = from.i32();
      from.text();
      const leader = from.text()!;
      const member = from.text()!;
      const members = from.list(() => {
        const id = from.text()!;
        from.text();
        return { id, metadata: from.bytes()! };
      });
      return { error, generation, leader, member, members };
    },
  };
}

/** What a member shows for itself. */
export interface Membership {
  readonly group: string;
  readonly generation: number;
  readonly member: string;
  readonly instance: string | null;
}

export function syncGroup(
  membership: Membership,
  assignments: readonly { readonly member: string; readonly assignment: Uint8Array }[],
  hold: number,
): Request<{ readonly error: number; readonly assignment: Buffer }> {
  return {
    key: 14,
    version: 3,
    name: 'SyncGroup',
    hold,
    write(to) {
      to.text(membership.group).i32(membership.generation).text(membership.member).text(membership.instance);
      to.list(assignments, ({ member, assignment }) => to.text(member).bytes(assignment));
    },
    read: (from) => ({ error: from.skip(4).i16(), assignment: from.bytes() ?? Buffer.alloc(0) }),
  };
}

export function heartbeat({ group, generation, member, instance }: Membership): Request<number> {
  return {
    key: 12,
    version: 3,
    name: 'Heartbeat',
    write: (to) => to.text(group).i32(generation).text(member).text(instance),
    read: (from) => from.skip(4).i16(),
  };
}

export function leaveGroup({ group, member }: Membership): Request<number> {
  return {
    key: 13,
    version: 1,
    name: 'LeaveGroup',
    write: (to) => to.text(group).text(member),
    read: (from) => from.skip(4).i16(),
  };
}

/** Takes members with static ids out of their group, whose places are kept for them else. */
export function removeStatic(group: string, instances: readonly string[]): Request<number> {
  return {
    key: 13,
    version: 3,
    name: 'LeaveGroup',
    write: (to) => to.text(group).list(instances, (instance) => to.text('').text(instance)),
    read: (from) => from.skip(4).i16(),
  };
}

export interface Committed {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly metadata: string;
}

export function offsetCommit(
  { group, generation, member, instance }: Membership,
  entries: readonly Committed[],
): Request<{ readonly topic: string; readonly partition: number; readonly error: number }[]> {
  return {
    key: 8,
    version: 7,
    name: 'OffsetCommit',
    hold: STORING,
    write(to) {
      to.text(group).i32(generation).text(member).text(instance);
      to.list(byTopic(entries), ({ topic, partitions }) =>
        to
          .text(topic)
          .list(partitions, ({ partition, offset, metadata }) =>
            to.i32(partition).i64(offset).i32(-1).text(metadata),
          ),
      );
    },
    read(from) {
      from.i32();
      return from
        .list(() => {
          const topic = from.text()!;
          return from.list(() => ({ topic, partition: from.i32(), error: from.i16() }));
        })
        .flat();
    },
  };
}

/**
 * In a newer form, since from version 7 on the server can be asked not to answer while a transaction is pending.
 *
 * @param partitions - which; all that the group has when undefined
 * @param stable - whether a pending transaction is an error
 */
export function offsetFetch(
  group: string,
  partitions: readonly { readonly topic: string; readonly partition: number }[] | undefined,
  stable: boolean,
): Request<{ readonly error: number; readonly committed: Committed[] }> {
  return {
    key: 9,
    version: 7,
    name: 'OffsetFetch',
    write(to) {
      to.noTags().compactText(group);
      if (partitions === undefined) to.uvarint(0);
      else {
        to.compactList(byTopic(partitions), (one) =>
          to
            .compactText(one.topic)
            .compactList(one.partitions, ({ partition }) => to.i32(partition))
            .noTags(),
        );
      }
      to.bool(stable).noTags();
    },
    read(from) {
      from.tags();
      from.skip(4);
      const committed = from
        .compactList(() => {
          const topic = from.compactText()!;
          const places = from.compactList(() => {
            const partition = from.i32();
            const offset = from.i64();
            const metadata = from.skip(4).compactText() ?? '';
            const error = from.i16();
            from.tags();
            return { topic, partition, offset, metadata, error };
          });
          from.tags();
          return places;
        })
        .flat();
      const error = from.i16();
      const failed = committed.find((one) => one.error !== 0);
      return {
        error: error || (failed?.error ?? 0),
        committed: committed.filter(({ offset }) => offset >= 0),
      };
    },
  };
}

export interface GroupDescription {
  readonly group: string;
  readonly error: number;
  readonly state: string;
  readonly members: readonly { readonly id: string; readonly instance: string | null }[];
}

export function describeGroups(groups: readonly string[]): Request<GroupDescription[]> {
  return {
    key: 15,
    version: 4,
    name: 'DescribeGroups',
    write: (to) => to.list(groups, (group) => to.text(group)).bool(false),
    read: (from) =>
      from.skip(4).list(() => {
        const error = from.i16();
        const group = from.text()!;
        const state = from.text()!;
        from.text();
        from.text();
        const members = from.list(() => {
          const id = from.text()!;
          const instance = from.text();
          from.text();
          from.text();
          from.bytes();
          from.bytes();
          return { id, instance };
        });
        from.skip(4);
        return { error, group, state, members };
      }),
  };
}

export function listGroups(): Request<{ readonly error: number; readonly groups: string[] }> {
  return {
    key: 16,
    version: 2,
    name: 'ListGroups',
    write() {},
    read(from) {
      from.i32();
      const error = from.i16();
      const groups = from.list(() => {
        const group = from.text()!;
        from.text();
        return group;
      });
      return { error, groups };
    },
  };
}

export function deleteGroups(
  groups: readonly string[],
): Request<{ readonly group: string; readonly error: number }[]> {
  return {
    key: 42,
    version: 1,
    name: 'DeleteGroups',
    write: (to) => to.list(groups, (group) => to.text(group)),
    read: (from) => from.skip(4).list(() => ({ group: from.text()!, error: from.i16() })),
  };
}
