import { afterEach, expect, it } from 'vitest';
import { Reader, Writer } from '../../src/driver/bytes.ts';
import type { Cluster } from '../../src/driver/cluster.ts';
import type { Request } from '../../src/driver/request.ts';
import { Committer } from '../../src/group/committer.ts';
import type { GroupMember } from '../../src/group/member.ts';
import type { Hub } from '../../src/hub.ts';
import { feedOf, turn } from '../feed/support.ts';

let committer: Committer | undefined;
afterEach(() => committer?.close());

/** The position in a commit that has one. */
function positionIn(request: Request<unknown>): number {
  const to = new Writer();
  request.write(to);
  const from = new Reader(to.buffer);
  from.text();
  from.i32();
  from.text();
  from.text();
  from.i32();
  from.text();
  from.i32();
  from.i32();
  return from.i64();
}

/** A committer whose look-ups of the coordinator end when they are told to. */
function setup() {
  const one = feedOf().part();
  const sent: number[] = [];
  const looking: PromiseWithResolvers<number>[] = [];
  const warned: unknown[] = [];
  const cluster = {
    coordinator: () => {
      const look = Promise.withResolvers<number>();
      looking.push(look);
      return look.promise;
    },
    async send(_: number, request: Request<unknown>) {
      sent.push(positionIn(request));
      return [{ topic: 't', partition: 0, error: 0 }];
    },
  } as unknown as Cluster;
  const membership = { group: 'g', generation: 1, member: 'me', instance: null };
  const member = { group: 'g', membership, stable: true, alive() {} } as unknown as GroupMember;
  const host = { warning: (_: string, { error }: { error?: unknown }) => void warned.push(error) };
  committer = new Committer({ cluster, host } as unknown as Hub, member, () => [one]);
  const settle = (offset: number): Promise<boolean> => {
    one.ledger.settle(offset);
    one.dirty = true;
    return committer!.commitAtOnce();
  };
  return { settle, sent, looking, warned };
}

it('stores no older positions behind newer ones, whichever finds the coordinator first', async () => {
  const { settle, sent, looking } = setup();
  const older = settle(0);
  const newer = settle(1);
  expect(looking).toHaveLength(2);
  looking[1]!.resolve(1);
  expect(await newer).toBe(true);
  looking[0]!.resolve(1);
  expect(await older).toBe(true);
  expect(sent.at(-1)).toBe(2);
});

it('says that what is settled after its end is not kept', async () => {
  setup();
  committer!.close();
  expect(await Promise.race([committer!.commit(), turn()])).toBe(false);
});

it('tries again after an error that is none of the bus, and tells of it once', async () => {
  const { settle, looking, warned } = setup();
  const kept = settle(0);
  const surprise = new TypeError('not expected');
  for (const tries of [1, 2]) {
    await expect.poll(() => looking.length).toBe(tries);
    looking.at(-1)!.reject(surprise);
  }
  await expect.poll(() => looking.length).toBe(3);
  looking[2]!.resolve(1);
  expect(await kept).toBe(true);
  expect(warned).toEqual([surprise]);
});
