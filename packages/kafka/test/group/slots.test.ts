import type { Source } from '@ambus/core';
import { expect, it } from 'vitest';
import { Slots } from '../../src/group/slots.ts';
import type { Hub } from '../../src/hub.ts';
import { feedOf, turn } from '../feed/support.ts';

/** The slots of a member whose server does not say where the group stands before it is told to. */
function setup() {
  const { feed } = feedOf();
  const asked = Promise.withResolvers<void>();
  const marker = JSON.stringify({ slots: 2, since: 0, generation: 1 });
  const positions = {
    error: 0,
    committed: [{ topic: 'control', partition: 0, offset: 0, metadata: marker }],
  };
  const topics = [{ name: 't', leaders: [1, 1] }];
  const hub = {
    cluster: { sendToCoordinator: () => asked.promise.then(() => positions) },
    catalog: { find: async () => topics, known: () => topics[0] },
    names: { control: 'control', group: () => 'g', retries: () => 'retries' },
    settings: { partitions: 2 },
    host: { provision: 'create', deduplicationWindow: 0 },
    shared: new Map(),
    place: () => 't',
  } as unknown as Hub;
  const source: Source = {
    pattern: 't',
    group: 'g',
    channel: 'request',
    from: 'new',
    prefetch: 10,
    order: 'skip',
  };
  let joins = 0;
  const slots = new Slots(hub, source, 'g', feed, {
    commit: async () => true,
    rejoin: () => void joins++,
    membership: () => ({ group: 'g', generation: 1, member: 'me', instance: null }),
    wants: () => true,
    transaction: undefined,
    membersAre() {},
  });
  const assign = (own: number[]): void =>
    slots.assigned({ slots: own, of: 2, pending: false, members: ['me', 'other'] });
  return { slots, feed, assign, answer: asked.resolve, joins: () => joins };
}

it('tells the others of what it is taking over from when it was given it', async () => {
  const { slots, feed, assign, answer } = setup();
  assign([0, 1]);
  // As it joins again; its answer may come after what it was given has begun.
  expect(slots.state().owned).toEqual([0, 1]);
  answer();
  await expect.poll(() => [...feed.parts.keys()]).toEqual(['t/0', 't/1']);
  expect(slots.state().owned).toEqual([0, 1]);
});

it('gives back what it was given and has not begun with when it is to have less', async () => {
  const { slots, feed, assign, answer, joins } = setup();
  assign([0, 1]);
  await turn();
  assign([0]);
  expect(slots.state().owned).toEqual([0, 1]);
  answer();
  await expect.poll(joins).toBe(1);
  expect(slots.state()).toMatchObject({ owned: [0], draining: [] });
  expect([...feed.parts.keys()]).toEqual(['t/0']);
});

it('is one that was there before once it has begun, and not while it waits for its first share', async () => {
  const { slots, assign, answer } = setup();
  assign([0]);
  expect(slots.state().begun).toBe(false);
  answer();
  await slots.ready;
  slots.lost();
  expect(slots.state()).toMatchObject({ owned: [], begun: true });
});
