import { type BusError, ConfigError, ConnectionError } from '@ambus/core';
import { afterEach, expect, it } from 'vitest';
import { Reader, Writer } from '../../src/driver/bytes.ts';
import type { Cluster } from '../../src/driver/cluster.ts';
import { Code } from '../../src/driver/errors.ts';
import type { Request } from '../../src/driver/request.ts';
import { GroupMember } from '../../src/group/member.ts';
import { type Assignment, writeAssignment } from '../../src/group/plan.ts';
import type { Settings } from '../../src/options.ts';

type Answer = (name: string) => unknown;

let member: GroupMember | undefined;
afterEach(() => member?.close());

const joined = { error: 0, generation: 1, leader: 'other', member: 'me', members: [] };
const assigned = (members: string[]) => ({
  error: 0,
  assignment: writeAssignment([], { slots: [0], of: 1, pending: false, members }),
});

/** Bytes between the group and the id in requests to join and to leave. */
const BEFORE_ID: Readonly<Record<string, number>> = { JoinGroup: 8, LeaveGroup: 0 };

function memberIn(request: Request<unknown>): string | null {
  const to = new Writer();
  request.write(to);
  const from = new Reader(to.buffer);
  from.text();
  return from.skip(BEFORE_ID[request.name]!).text();
}

/** A member whose server answers as told; `undefined` does not come before the connection ends. */
function setup(answer: Answer, instance: string | null = null, sessionTimeout = 10_000) {
  const sent: string[] = [];
  /** The slots that it has, and those that it told of at each look. */
  let owned: readonly number[] = [];
  const told: (readonly number[])[] = [];
  /** Under which ids it joined and left. */
  const ids: string[] = [];
  const failed: BusError[] = [];
  const given: Assignment[] = [];
  let closed = 0;
  const held = Promise.withResolvers<never>();
  held.promise.catch(() => {});
  const close = () => {
    closed++;
    held.reject(new ConnectionError('the connection was closed', { broker: 'kafka' }));
  };
  const send = async (request: Request<unknown>) => {
    sent.push(request.name);
    if (request.name in BEFORE_ID) ids.push(`${request.name} ${memberIn(request)}`);
    const value = answer(request.name);
    return value === undefined ? held.promise : value;
  };
  const cluster = {
    closed: false,
    coordinator: async () => answer('Coordinator') ?? 1,
    forgetCoordinator() {},
    dedicated: async () => ({ closed: false, send, close }),
    send: (_: number, request: Request<unknown>) => send(request),
  } as unknown as Cluster;
  const settings = {
    groupInstanceId: instance,
    sessionTimeout,
    rebalanceTimeout: 10_000,
    heartbeatInterval: 20,
    requestTimeout: 1_000,
  } as Settings;
  member = new GroupMember('group', cluster, settings, {
    state: () => {
      told.push(owned);
      return { owned, draining: [], begun: false, wants: true, stuck: false, slots: 1 };
    },
    topics: async () => ['t'],
    slots: async () => 1,
    assigned(assignment) {
      given.push(assignment);
      owned = assignment.slots;
    },
    lost() {
      owned = [];
    },
    failed: (error) => void failed.push(error),
  });
  member.start();
  return { member, sent, told, ids, failed, given, closed: () => closed };
}

const usual: Answer = (name) =>
  name === 'JoinGroup'
    ? joined
    : name === 'SyncGroup'
      ? assigned(['me', 'other'])
      : name === 'Coordinator'
        ? 1
        : 0;

it('tries again after errors that may pass, also those that a publish would not try again', async () => {
  let tries = 0;
  const { given, failed } = setup((name) => {
    if (name === 'Coordinator' && tries++ < 2) {
      throw new ConnectionError('the server refused the credentials', { broker: 'kafka', retryable: false });
    }
    return usual(name);
  });
  await expect.poll(() => given.length, { timeout: 5_000 }).toBe(1);
  expect(failed).toEqual([]);
});

it('ends where its settings are wrong', async () => {
  const { failed } = setup((name) => (name === 'JoinGroup' ? { ...joined, error: 26 } : usual(name)));
  await expect.poll(() => failed.length).toBe(1);
  expect(ConfigError.is(failed[0])).toBe(true);
});

it('leaves also while its first join waits', async () => {
  let asked = false;
  const { member, sent } = setup((name) => {
    if (name !== 'JoinGroup') return usual(name);
    // The first is for a name, and the second is held back.
    if (asked) return undefined;
    asked = true;
    return { ...joined, error: Code.memberIdRequired };
  });
  await expect.poll(() => sent.filter((name) => name === 'JoinGroup').length).toBe(2);
  void member.close();
  await expect.poll(() => sent).toContain('LeaveGroup');
});

it('closes its connection although nobody can be told that it goes', async () => {
  let down = false;
  const { member, given, closed } = setup((name) => {
    if (name === 'Coordinator' && down) throw new ConnectionError('nobody is there', { broker: 'kafka' });
    return usual(name);
  });
  await expect.poll(() => given.length).toBe(1);
  down = true;
  await member.close();
  expect(closed()).toBe(1);
});

it('ends when another has its static id, also where a commit hears it first', async () => {
  let fenced = false;
  const { member, sent, given, failed } = setup((name) => {
    return name === 'Heartbeat' && fenced ? Code.fencedInstance : usual(name);
  }, 'id');
  await expect.poll(() => given.length).toBe(1);
  fenced = true;
  member.expelled();
  await expect.poll(() => failed.length).toBe(1);
  expect(failed[0]!.message).toContain('groupInstanceId "id"');
  expect(sent.filter((name) => name === 'JoinGroup')).toHaveLength(1);
});

it('joins again where the others know it by an earlier id', async () => {
  let joins = 0;
  const { given } = setup((name) => {
    if (name === 'SyncGroup') return assigned(++joins > 1 ? ['me', 'other'] : ['me before', 'other']);
    return usual(name);
  }, 'id');
  await expect.poll(() => given.length, { timeout: 5_000 }).toBe(2);
  expect(given[1]!.members).toContain('me');
});

it('says what it has when its lease ended while it joined, having told of more before', async () => {
  const joining = Promise.withResolvers<unknown>();
  let joins = 0;
  const { member, told, ids, given } = setup(
    (name) => {
      if (name === 'JoinGroup' && ++joins === 2) return joining.promise;
      return name === 'Heartbeat' && joins === 1 ? Code.rebalanceInProgress : usual(name);
    },
    null,
    300,
  );
  await expect.poll(() => told.length).toBe(2);
  expect(told).toEqual([[], [0]]);
  await expect.poll(() => member.membership).toBeUndefined();
  // What the leader plans by now counts those that it has lost as its own.
  joining.resolve(joined);
  await expect.poll(() => given.length).toBe(2);
  expect(told).toEqual([[], [0], []]);
  // Others are to take back what it had of theirs.
  expect(ids.slice(-2)).toEqual(['LeaveGroup me', 'JoinGroup ']);
});

for (const known of [true, false]) {
  it(`leaves under its old id before it comes back after its lease ended, ${known ? 'which' : 'though'} the server ${known ? 'still knows' : 'does not know it'}`, async () => {
    let down = false;
    const { member, ids } = setup(
      (name) => {
        if (down) throw new ConnectionError('nobody is there', { broker: 'kafka' });
        return name === 'LeaveGroup' && !known ? Code.unknownMember : usual(name);
      },
      null,
      300,
    );
    await expect.poll(() => member.membership).toBeDefined();
    down = true;
    await expect.poll(() => member.membership).toBeUndefined();
    down = false;
    await expect.poll(() => member.membership, { timeout: 5_000 }).toBeDefined();
    expect(ids).toEqual(['JoinGroup ', 'LeaveGroup me', 'JoinGroup ']);
  });
}
