import { afterEach, expect, it } from 'vitest';
import { Reader, Writer } from '../../src/driver/bytes.ts';
import type { Cluster } from '../../src/driver/cluster.ts';
import type { Request } from '../../src/driver/request.ts';
import { Committer } from '../../src/group/committer.ts';
import type { GroupMember } from '../../src/group/member.ts';
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
  committer = new Committer(cluster, member, () => [one]);
  const settle = (offset: number): Promise<boolean> => {
    one.ledger.settle(offset);
    one.dirty = true;
    return committer!.commitAtOnce();
  };
  return { settle, sent, looking };
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
