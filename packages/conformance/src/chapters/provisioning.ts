import assert from 'node:assert/strict';
import { BusError, ConfigError, UnsupportedError, ValidationError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { groupInfo, settled, standingGroup } from '../helpers/groups.ts';
import { rejection } from '../helpers/rejection.ts';
import { distinct, numbers } from '../helpers/sequence.ts';
import { topicsOf } from '../helpers/topics.ts';

const creating: readonly Case[] = [
  {
    id: 'provisioning/create-twice',
    name: 'ten buses that create the same topic and group at once all find it, and their group is one',
    async run(t) {
      const topic = t.topic();
      const group = t.name();
      const buses = await Promise.all(numbers(10).map(() => t.bus()));
      const seen: number[] = [];
      await Promise.all(buses.map((bus) => bus.subscribe(topic, ({ data }) => seen.push(data), { group })));
      await Promise.all(buses.map((bus, n) => bus.publish(topic, n)));
      await t.until('all came', () => seen.length >= 10);
      await settled(t, buses[0]!, topic, group);
      assert.equal(seen.length, 10);
      assert.deepEqual(distinct(seen), numbers(10));
    },
  },
  {
    id: 'provisioning/ensure-twice',
    name: 'ensuring a topic or group that exists changes nothing: neither its messages nor its position',
    needs: ['admin'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await bus.admin.ensureTopic(topic);
      await bus.admin.ensureGroup(topic, group, 'new');
      await bus.publish(topic, 1);
      await Promise.all([bus.admin.ensureTopic(topic), bus.admin.ensureGroup(topic, group, 'new')]);
      await bus.publish(topic, 2);
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group });
      await t.until('both came', () => got.data.length === 2);
      assert.deepEqual(got.data, [1, 2]);
    },
    async refused(t) {
      const bus = await t.bus();
      await rejection(UnsupportedError, () => bus.admin.listTopics(), 'admin');
    },
  },
  {
    id: 'provisioning/check',
    name: '"check" names the topic or group that is missing, and works once they are there',
    async run(t) {
      const bus = await t.bus({ provision: 'check', deadLetter: false });
      const topic = t.topic();
      const group = t.name();
      await rejection(ConfigError, () => bus.publish(topic, 1), topic);
      await rejection(ConfigError, () => bus.subscribe(topic, () => {}, { group }), topic);
      const owner = await t.bus();
      await standingGroup(owner, topic, t.name('other'));
      await rejection(ConfigError, () => bus.subscribe(topic, () => {}, { group }), group);
      await standingGroup(owner, topic, group);
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group });
      await bus.publish(topic, 1);
      await t.until('it came', () => got.data.length === 1);
    },
  },
  {
    id: 'provisioning/none',
    name: '"none" uses what is there',
    async run(t) {
      const owner = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(owner, topic, group);
      const bus = await t.bus({ provision: 'none' });
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group });
      await bus.publish(topic, 1);
      await t.until('it came', () => got.data.length === 1);
    },
  },
  {
    id: 'provisioning/creates-nothing',
    name: 'neither "none" nor "check" creates anything, whatever is tried',
    timeout: 60_000,
    needs: ['admin'],
    async run(t) {
      for (const provision of ['none', 'check'] as const) {
        const bus = await t.bus({ provision, publishTimeout: 500 });
        const topic = t.topic(provision);
        const group = t.name();
        await Promise.allSettled([
          bus.publish(topic, 1),
          bus.publishMany([{ topic: t.topic(`${provision}.2`), data: 1 }]),
          bus.subscribe(topic, () => {}, { group }),
          bus.subscribe(t.topic(`${provision}.3`), () => {}),
          ...(t.capabilities.wildcards === 'none'
            ? []
            : [bus.subscribe(t.topic(`${provision}.*`), () => {}, { group })]),
        ]);
        await bus.close();
      }
      assert.deepEqual(await topicsOf(t), []);
      const groups = await (await t.bus()).admin.listGroups();
      assert.deepEqual(
        groups.filter(({ group }) => group === t.name()),
        [],
      );
    },
  },
  {
    id: 'provisioning/restricted',
    name: 'an account that may not create works with "none", and says what it may not with "create"',
    power: ['restricted'],
    async run(t) {
      const owner = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(owner, topic, group);
      const bus = await t.bus({ broker: await t.server.restricted!.create(), provision: 'none' });
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group });
      await bus.publish(topic, 1);
      await t.until('it came', () => got.data.length === 1);
      const creator = await t.bus({ broker: await t.server.restricted!.create(), publishTimeout: 2_000 });
      const missing = t.topic('missing');
      const error = await rejection(BusError, () => creator.subscribe(missing, () => {}, { group }));
      assert.equal(error.retryable, false);
      assert.ok(error.message.includes(missing) || error.topic === missing, error.message);
    },
  },
];

const administration: readonly Case[] = [
  {
    id: 'provisioning/depth',
    name: 'topics and groups are listed with what lies in them, and a purge empties them',
    timeout: 60_000,
    needs: ['admin'],
    async run(t) {
      const topic = t.topic();
      const retention = { maxAge: 60 * 60 * 1_000 };
      const bus = await t.bus({ topics: { [topic]: { retention } } });
      const group = t.name();
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(7).map((data) => ({ topic, data })));
      // Where a server has copies, the one that counts for a group may be a moment behind.
      const waiting = await t.until('all are counted', async () => {
        const info = await groupInfo(bus, topic, group);
        return info?.depth === 7 ? info : undefined;
      });
      assert.deepEqual({ ...waiting }, { group, pattern: topic, depth: 7, inFlight: 0, members: 0 });
      const other = await t.bus();
      const listed = (await other.admin.listTopics()).find((one) => one.topic === topic);
      assert.deepEqual({ ...listed }, { topic, depth: 7, retention });
      await bus.admin.purge(topic);
      assert.equal((await groupInfo(bus, topic, group))!.depth, 0);
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group });
      await bus.publish(topic, 'marker');
      await t.until('the marker came', () => got.data.length > 0);
      assert.deepEqual(got.data, ['marker']);
    },
  },
  {
    id: 'provisioning/delete-group',
    name: 'a group that is deleted under its members is reported to them, and a new one of its name starts anew',
    needs: ['admin'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      const failed: (string | undefined)[] = [];
      bus.on('subscription.failed', (event) => failed.push(event.group));
      await bus.subscribe(topic, () => {}, { group });
      const other = await t.bus();
      assert.equal(await other.admin.deleteGroup(topic, group), true);
      await t.until('it is reported', () => failed.length > 0);
      assert.deepEqual(failed, [group]);
      assert.equal(await groupInfo(other, topic, group), undefined);
      assert.equal(await other.admin.deleteGroup(topic, group), false);
      await other.publish(topic, 'before');
      const got = t.collector();
      await other.subscribe(topic, got.handle, { group });
      await other.publish(topic, 'after');
      await t.until('it came', () => got.data.length > 0);
      assert.deepEqual(got.data, ['after']);
    },
  },
  {
    id: 'provisioning/ephemeral',
    name: 'an ephemeral topic keeps nothing, lists nothing, and cannot be asked to hold or to remember a message',
    needs: ['ephemeral'],
    async run(t) {
      const [topic, other] = [t.topic(), t.topic('other')];
      const ephemeral = { durability: 'ephemeral' } as const;
      const bus = await t.bus({ topics: { [topic]: ephemeral, [other]: ephemeral } });
      const [got, passed] = [t.collector(), t.collector()];
      await bus.subscribe(other, passed.handle);
      await bus.publish(topic, 'nobody listens');
      // From one node of a cluster to the next it may still be on its way.
      await t.after(
        () => bus.publish(other, 1),
        () => passed.data.length > 0,
      );
      if (t.capabilities.admin !== 'none') assert.deepEqual(await topicsOf(t), []);
      if (t.capabilities.delay !== 'none')
        await rejection(ValidationError, () => bus.publish(topic, 1, { delay: 100 }), '"delay"', 'ephemeral');
      const once = { delivery: 'exactly-once', idempotencyKey: 'k' } as const;
      if (t.capabilities.deduplication !== 'none')
        await rejection(ValidationError, () => bus.publish(topic, 1, once), 'exactly-once', 'ephemeral');
      await bus.subscribe(topic, got.handle);
      await bus.publish(topic, 'live');
      await t.until('it came', () => got.data.length > 0);
      assert.deepEqual(got.data, ['live']);
    },
    async refused(t) {
      const topics = { [t.topic()]: { durability: 'ephemeral' as const } };
      await rejection(UnsupportedError, () => t.bus({ topics }), 'ephemeral');
    },
  },
];

/** What the bus makes on the server, and what it leaves alone. */
export const provisioning: readonly Case[] = chapter('provisioning', [...creating, ...administration]);
