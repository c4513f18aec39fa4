import assert from 'node:assert/strict';
import { PRIORITIES, UnsupportedError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { standingGroup } from '../helpers/groups.ts';
import { rejection } from '../helpers/rejection.ts';

const PREFETCH = 4;

/** How many of lower rank were handled before the last of `level`. */
function overtaken(handled: readonly number[], level: number): number {
  return handled.slice(0, handled.lastIndexOf(level)).filter((other) => other > level).length;
}

/** Ranks in a backlog. */
export const timePriority: readonly Case[] = chapter('time', [
  {
    id: 'time/priority-arrives',
    name: 'a message tells its priority, which may be given by name or level and is normal by default',
    needs: ['priority'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group: t.name(), concurrency: 20 });
      const byName = PRIORITIES.map((priority) => bus.publish(topic, priority, { priority }));
      const byLevel = ([0, 1, 2, 3, 4] as const).map((priority) =>
        bus.publish(topic, PRIORITIES[priority], { priority }),
      );
      await Promise.all([...byName, ...byLevel, bus.publish(topic, 'normal')]);
      await t.until('all came', () => got.messages.length === 11);
      for (const message of got.messages) assert.equal(message.priority, message.data);
    },
    async refused(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group: t.name() });
      for (const priority of ['critical', 'high', 'low', 'background'] as const) {
        await rejection(UnsupportedError, () => bus.publish(topic, 1, { priority }), 'priority');
      }
      await t.after(
        () => bus.publish(topic, 'marker', { priority: 'normal' }),
        () => got.data.includes('marker'),
      );
      assert.deepEqual(got.data, ['marker']);
    },
  },
  {
    id: 'time/priority-in-a-backlog',
    name: 'in a backlog a higher priority comes first, at most one prefetch window late',
    needs: ['priority'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      for (const level of [4, 3, 2, 1, 0] as const) {
        await bus.publishMany(Array.from({ length: 10 }, () => ({ topic, data: level, priority: level })));
      }
      const got = t.collector<number>();
      await bus.subscribe<number>(topic, got.handle, { group, prefetch: PREFETCH });
      await t.until('all came', () => got.data.length === 50);
      for (const level of [0, 1, 2, 3]) {
        const late = overtaken(got.data, level);
        assert.ok(
          late <= PREFETCH,
          `${late} lower ones came before the last of ${level}: ${got.data.join('')}`,
        );
      }
    },
  },
  {
    id: 'time/priority-overtakes-a-running-backlog',
    name: 'a critical message overtakes a backlog that is being worked on',
    needs: ['priority'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector<number>();
      const urgent = Promise.withResolvers<void>();
      const handle = async (message: Parameters<typeof got.handle>[0]): Promise<void> => {
        got.handle(message);
        await urgent.promise;
      };
      await bus.subscribe<number>(topic, handle, { group: t.name(), prefetch: PREFETCH });
      await bus.publishMany(Array.from({ length: 60 }, () => ({ topic, data: 2 })));
      await t.until('work has begun', () => got.data.length === 1);
      await bus.publish(topic, 0, { priority: 'critical' });
      urgent.resolve();
      await t.until('the critical one came', () => got.data.includes(0));
      const late = got.data.indexOf(0);
      // The window that was fetched before it, and the one that was asked for at that moment.
      assert.ok(late <= 2 * PREFETCH, `${late} came before it`);
    },
  },
  {
    id: 'time/priority-kept-over-a-retry',
    name: 'a message keeps its rank over a retry, with a delay and without',
    needs: ['priority'],
    async run(t) {
      for (const delay of [0, 50]) {
        const bus = await t.bus();
        const topic = t.topic(`delay${delay}`);
        const group = t.name(`group${delay}`);
        await standingGroup(bus, topic, group);
        await bus.publishMany(Array.from({ length: 300 }, () => ({ topic, data: 2 })));
        await bus.publish(topic, 0, { priority: 'critical' });
        const handled: number[] = [];
        await bus.subscribe<number>(
          topic,
          async (message) => {
            if (message.data === 0 && message.attempt === 1) return message.nack({ delay });
            handled.push(message.data);
            await new Promise((resolve) => setTimeout(resolve, 2));
            return undefined;
          },
          { group, prefetch: PREFETCH },
        );
        await t.until('the critical one came again', () => handled.includes(0));
        const late = handled.indexOf(0);
        // Without a delay only what was fetched meanwhile comes before it; with one, what its wait has room for.
        const most = delay === 0 ? 3 * PREFETCH : 250;
        assert.ok(late <= most, `${late} came before its second attempt (delay ${delay})`);
      }
    },
  },
]);
