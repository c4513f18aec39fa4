import { type BusError, fromHeaders } from '@ambus/core';
import { afterEach, expect, it } from 'vitest';
import { COMPRESSIONS } from '../../src/driver/compression.ts';
import type { Request } from '../../src/driver/request.ts';
import type { GroupMember } from '../../src/group/member.ts';
import { TransactionalCommitter } from '../../src/group/transactional-committer.ts';
import type { Hub } from '../../src/hub.ts';
import { STYLE } from '../../src/wire/record.ts';
import { feedOf, raw, turn } from '../feed/support.ts';

let committer: TransactionalCommitter | undefined;
afterEach(() => committer?.close());

const RECORD = fromHeaders(
  {},
  Buffer.from('x'),
  { topic: 'out', channel: 'durable', id: 'id', time: 0 },
  STYLE,
);

/** Answers of a server that takes everything. */
const ANSWERS: Readonly<Record<string, unknown>> = {
  InitProducerId: { error: 0, id: 1, epoch: 0 },
  AddOffsetsToTxn: 0,
  EndTxn: 0,
};

/** A committer that fails as told before the server is asked, and what it has asked. */
async function setup() {
  const { feed, part, got } = feedOf();
  const one = part();
  one.take([raw(0)], 1, 1);
  await turn();
  const asked: string[] = [];
  const warned: unknown[] = [];
  const hopeless: BusError[] = [];
  let surprises: unknown[] = [];
  const surprise = (): void => {
    if (surprises.length > 0) throw surprises.pop();
  };
  const answer = (name: string): unknown => {
    asked.push(name);
    return ANSWERS[name] ?? [{ topic: 't', partition: 0, error: 0 }];
  };
  const topic = { name: 'ambus.out', leaders: [1], used: false };
  const hub = {
    settings: {
      sessionTimeout: 1_000,
      requestTimeout: 1_000,
      maxMessageBytes: 1_000,
      batchBytes: 1_000,
      compression: COMPRESSIONS.none,
    },
    host: { warning: (_: string, { error }: { error?: unknown }) => void warned.push(error) },
    place: () => topic.name,
    topic: async () => topic,
    catalog: {
      known() {
        surprise();
        return topic;
      },
      refresh: async () => {},
    },
    cluster: {
      async coordinator() {
        surprise();
        return 1;
      },
      send: async (_: number, request: Request<unknown>) => answer(request.name),
      sendToCoordinator: async (_: string, request: Request<unknown>) => answer(request.name),
    },
  } as unknown as Hub;
  const membership = { group: 'g', generation: 1, member: 'me', instance: null };
  const member = { group: 'g', membership, stable: true, alive() {} } as unknown as GroupMember;
  committer = new TransactionalCommitter(
    hub,
    member,
    'id',
    () => [one],
    (error) => void hopeless.push(error),
  );
  const settle = (): Promise<boolean> => {
    committer!.acked(got);
    feed.settle(got);
    return committer!.commit();
  };
  return {
    settle,
    got,
    asked,
    warned,
    hopeless,
    fail: (...errors: unknown[]) => {
      surprises = errors;
    },
  };
}

for (const how of ['commit', 'transaction'] as const) {
  it(`tries a ${how} again after an error that is none of the bus, and tells of it once`, async () => {
    const { settle, got, asked, warned, hopeless, fail } = await setup();
    if (how === 'transaction') await committer!.stage(got[0]!, [RECORD]);
    const surprise = new TypeError('not expected');
    fail(surprise, surprise);
    expect(await settle()).toBe(true);
    expect(asked.at(-1)).toBe(how === 'transaction' ? 'EndTxn' : 'OffsetCommit');
    expect([warned, hopeless]).toEqual([[surprise], []]);
  });
}
