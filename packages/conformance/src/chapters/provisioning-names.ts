import assert from 'node:assert/strict';
import { type Case, chapter } from '../case.ts';
import { standingGroup } from '../helpers/groups.ts';
import { topicsOf } from '../helpers/topics.ts';

/** Names whose likeness a careless encoding would make one. */
const LOOKALIKES = [
  'a.b',
  'a-b',
  'a_b',
  'a--b',
  'a__b',
  'A.b',
  'A-B',
  'a',
  'a.b.c',
  'a-b.c',
  'a_2Eb',
  'a-2Eb',
  'a_dot_b',
];

/** What things are called on the server. */
export const provisioningNames: readonly Case[] = chapter('provisioning', [
  {
    id: 'provisioning/prefix',
    name: 'buses with different prefixes do not see each other, not even where one prefix begins with the other',
    timeout: 60_000,
    async run(t) {
      const prefixes = ['', '-x', '_x', 'x'].map((end) => `p${t.name('').slice(1, 8)}${end}`);
      const topic = t.topic();
      const group = t.name();
      const all = await Promise.all(
        prefixes.map(async (prefix) => {
          const bus = await t.bus({ prefix });
          const [grouped, live] = [t.collector(), t.collector()];
          await bus.subscribe(topic, grouped.handle, { group });
          await bus.subscribe(topic, live.handle);
          return { bus, prefix, grouped, live };
        }),
      );
      // A name of one that, glued together, is a name of the other.
      for (const { bus, prefix } of all) await bus.publish(topic, prefix);
      for (const { grouped, live } of all)
        await t.until('each has its own', () => grouped.data.length > 0 && live.data.length > 0);
      if (t.capabilities.request !== 'none') {
        for (const { bus, prefix } of all) await bus.respond(topic, () => prefix);
        for (const { bus, prefix } of all)
          assert.equal((await bus.request(topic, 1, { timeout: 10_000 })).data, prefix);
      }
      for (const { grouped, live, prefix } of all) {
        assert.deepEqual(grouped.data, [prefix]);
        assert.deepEqual(live.data, [prefix]);
      }
      if (t.capabilities.admin === 'none') return;
      for (const { bus } of all) {
        const listed = await bus.admin.listTopics();
        assert.deepEqual(
          listed.map((one) => one.topic),
          [topic],
        );
        assert.deepEqual(
          (await bus.admin.listGroups()).map((one) => [one.group, one.pattern]),
          [[group, topic]],
        );
      }
    },
  },
  {
    id: 'provisioning/foreign-objects',
    name: 'deleting, purging and listing leave alone what belongs to another prefix',
    needs: ['admin'],
    async run(t) {
      const topic = t.topic();
      const group = t.name();
      const base = `q${t.name('').slice(1, 8)}`;
      const [own, foreign] = [await t.bus({ prefix: base }), await t.bus({ prefix: `${base}-more` })];
      for (const bus of [own, foreign]) {
        await standingGroup(bus, topic, group);
        await bus.publish(topic, 1);
      }
      await own.admin.purge(topic);
      await own.admin.deleteGroup(topic, group);
      assert.equal(await own.admin.deleteTopic(topic), true);
      assert.deepEqual(await own.admin.listTopics(), []);
      assert.equal(await own.admin.deleteTopic(topic), false);
      const got = t.collector();
      await foreign.subscribe(topic, got.handle, { group });
      await t.until('the other still has its own', () => got.data.length === 1);
    },
  },
  {
    id: 'provisioning/names',
    name: 'topics and groups whose names look alike on a server are different, and are listed by their exact names',
    timeout: 60_000,
    async run(t) {
      const bus = await t.bus();
      const topics = LOOKALIKES.map((name) => t.topic(name));
      const seen = new Map<string, string[]>(topics.map((topic) => [topic, []]));
      const groups = ['g', 'G', 'g-1', 'g_1', 'g1'].map((name) => `${name}-${t.name('')}`);
      for (const topic of topics)
        await bus.subscribe(topic, ({ data }) => seen.get(topic)!.push(data), { group: groups[0] });
      await Promise.all(topics.map((topic) => bus.publish(topic, topic)));
      await t.until('each has one', () => [...seen.values()].every((list) => list.length > 0));
      for (const [topic, list] of seen) assert.deepEqual(list, [topic]);
      const reached = new Set<string>();
      for (const group of groups.slice(1))
        await bus.subscribe(topics[0]!, () => reached.add(group), { group });
      await bus.publish(topics[0]!, topics[0]);
      await t.until('each group has it', () => reached.size === groups.length - 1);
      if (t.capabilities.admin === 'none') return;
      assert.deepEqual(await topicsOf(t), topics.toSorted());
      const listed = (await bus.admin.listGroups()).filter(({ pattern }) => pattern === topics[0]);
      assert.deepEqual(listed.map((one) => one.group).sort(), groups.toSorted());
    },
  },
  {
    id: 'provisioning/longest-names',
    name: 'the longest topic, group and prefix that are allowed work together',
    async run(t) {
      const prefix = `r${t.name('').slice(1, 8)}`.padEnd(32, 'x');
      const bus = await t.bus({ prefix });
      const topic = t.topic('x'.repeat(200 - t.topic('').length));
      const group = `g${t.name('')}`.padEnd(64, 'g');
      assert.equal(topic.length, 200);
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group });
      await bus.publish(topic, 1);
      await t.until('it came', () => got.data.length === 1);
      const deep = `${t.topic('')}${Array.from({ length: 15 }, () => 's').join('.')}`;
      await bus.subscribe(deep, got.handle, { group });
      await bus.publish(deep, 2);
      await t.until('that came, too', () => got.data.length === 2);
    },
  },
]);
