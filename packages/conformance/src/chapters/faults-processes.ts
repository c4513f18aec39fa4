import assert from 'node:assert/strict';
import { type Case, chapter } from '../case.ts';
import { startChild } from '../child/start.ts';
import { groupInfo, settled, standingGroup } from '../helpers/groups.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

/** Milliseconds for a server to notice that a process is gone, beyond the lease. */
const NOTICE = 60_000;

/** Other processes, killed. */
export const faultsProcesses: readonly Case[] = chapter('faults', [
  {
    id: 'faults/kill-consumer',
    name: 'a consumer process killed with SIGKILL in the middle of 1,000 messages loses none',
    power: ['processes'],
    timeout: 300_000,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(1_000).map((data) => ({ topic, data })));
      const child = await startChild(t);
      const options = { group, concurrency: 10, prefetch: 100 };
      await child.call({ do: 'subscribe', topic, options, takes: 5 });
      await t.until('it is in the middle', () => child.handled.length > 300, 30_000);
      await child.kill();
      const got = t.collector<number>();
      await bus.subscribe<number>(topic, got.handle, { group, concurrency: 10 });
      // What the dead one had begun it may not have finished: of that, only the acked need not come again.
      const begun = child.handled.map(({ data }) => data as number);
      const all = (): number[] => distinct([...got.data, ...begun]);
      const { lease } = t.capabilities.limits;
      await t.until('all were handled', () => all().length === 1_000, 2 * lease + NOTICE);
      await settledAfter(lease);
      assert.deepEqual(all(), numbers(1_000));
      t.note('duplicates', got.data.filter((n) => begun.includes(n)).length);

      async function settledAfter(wait: number): Promise<void> {
        if (t.capabilities.admin === 'none') return;
        await t.until(
          'everything is settled',
          async () => (await groupInfo(bus, topic, group))?.depth === 0,
          2 * wait + NOTICE,
        );
      }
    },
  },
  {
    id: 'faults/kill-in-the-handler',
    name: 'messages in the handlers of a killed process come again to another, as further attempts, within the lease',
    power: ['processes'],
    timeout: 300_000,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(10).map((data) => ({ topic, data })));
      const child = await startChild(t);
      await child.call({ do: 'subscribe', topic, options: { group, concurrency: 10 }, takes: -1 });
      await t.until('it has them all', () => child.handled.length === 10);
      await child.kill();
      const got = t.collector<number>();
      await bus.subscribe<number>(topic, got.handle, { group });
      const { lease } = t.capabilities.limits;
      const start = performance.now();
      await t.until('all came again', () => distinct(got.data).length === 10, lease + NOTICE);
      t.note('milliseconds', Math.round(performance.now() - start));
      assert.ok(got.messages.every(({ attempt }) => attempt === 2));
    },
  },
  {
    id: 'faults/kill-publisher',
    name: 'what was confirmed to a publisher process is there after it was killed',
    power: ['processes'],
    timeout: 120_000,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      const got = t.collector<number>();
      await bus.subscribe<number>(topic, got.handle, { group, concurrency: 10 });
      const child = await startChild(t);
      child.call({ do: 'publish', topic, from: 0, count: 100_000 }).catch(() => {});
      await t.until('it has published some', () => child.accepted.length > 200, 30_000);
      await child.kill();
      await t.until('all confirmed came', () => child.accepted.every((n) => got.data.includes(n)), 30_000);
      await settled(t, bus, topic, group);
    },
  },
  {
    id: 'faults/kill-responder',
    name: 'requests find another responder after one was killed',
    needs: ['request'],
    power: ['processes'],
    timeout: 180_000,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      const child = await startChild(t);
      await child.call({ do: 'respond', topic, group });
      assert.deepEqual((await bus.request(topic, 1, { timeout: 10_000 })).data, { answerTo: 1 });
      const other = await startChild(t);
      await other.call({ do: 'respond', topic, group });
      await child.kill();
      const ask = (n: number): Promise<boolean> =>
        bus.request(topic, n, { timeout: 1_000 }).then(
          () => true,
          () => false,
        );
      let answered = 0;
      await t.until(
        'ten in a row are answered',
        async () => {
          answered = (await ask(answered)) ? answered + 1 : 0;
          return answered >= 10;
        },
        NOTICE,
      );
    },
  },
]);
