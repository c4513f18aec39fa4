import type { Sink, Source } from '@ambus/core';
import { expect, it } from 'vitest';
import { MOST_WAITING } from '../../src/feed/room.ts';
import type { Return } from '../../src/group/loans.ts';
import { GroupSubscription } from '../../src/group/subscription.ts';
import type { Hub } from '../../src/hub.ts';
import { Names } from '../../src/names.ts';
import { feedOf, raw, turn } from '../feed/support.ts';

const SOURCE: Source = {
  pattern: 't',
  group: 'g',
  channel: 'durable',
  from: 'new',
  prefetch: 100,
  order: 'skip',
};

/** A member that looks for its group's topic of retries until it is told to end that, and what it tells the others. */
function setup() {
  const looking = Promise.withResolvers<never[]>();
  const told: Return[] = [];
  const hub = {
    catalog: { find: () => looking.promise },
    names: new Names('ambus'),
    settings: { groupInstanceId: null, maxPollRecords: 1_000 },
    host: { busId: 'bus', deduplicationWindow: 60_000 },
    creates: false,
    unlisten() {},
    announce: async ({ back }: { back?: Return }) => void (back && told.push(back)),
  } as unknown as Hub;
  return { subscription: new GroupSubscription(hub, SOURCE, {} as Sink), looking, told };
}

it('tells the new owner of a partition to try a message again that failed while it changed hands', async () => {
  const { subscription, looking, told } = setup();
  const { part, got } = feedOf();
  const one = part();
  one.take([raw(0)], 1, 1);
  await turn();
  // As many as its account takes: this one goes to the topic of retries.
  for (let offset = 1; offset <= MOST_WAITING; offset++) one.ledger.wait(offset, Date.now() + 60_000);
  void subscription.nack(got[0]!, 1_000);
  await turn();
  one.detached = true;
  looking.resolve([]);
  await turn();
  expect(told).toEqual([expect.objectContaining({ offset: 0, due: expect.any(Number) })]);
  await subscription.close();
});
