import assert from 'node:assert/strict';
import { ClosedError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { rejection } from '../helpers/rejection.ts';
import { numbers } from '../helpers/sequence.ts';

/** A bus that is closed, or about to be. */
export const lifecycleClosed: readonly Case[] = chapter('lifecycle', [
  {
    id: 'lifecycle/close-twice',
    name: 'close may be called again, at once from ten places, and before anything was connected',
    async run(t) {
      const bus = await t.bus();
      let closed = 0;
      bus.on('closed', () => closed++);
      await bus.subscribe(t.topic(), () => {}, { group: t.name() });
      await Promise.all(numbers(10).map(() => bus.close()));
      await bus.close();
      assert.equal(closed, 1);
      const unused = await t.bus();
      await unused.close();
      await unused.close();
    },
  },
  {
    id: 'lifecycle/close-while-busy',
    name: 'a bus that is closed while it connects, subscribes, publishes or asks ends in good order',
    async run(t) {
      const topic = t.topic();
      const starts = [
        (bus: Awaited<ReturnType<typeof t.bus>>) => bus.connect(),
        (bus: Awaited<ReturnType<typeof t.bus>>) => bus.subscribe(topic, () => {}, { group: t.name() }),
        (bus: Awaited<ReturnType<typeof t.bus>>) => bus.subscribe(topic, () => {}),
        (bus: Awaited<ReturnType<typeof t.bus>>) => bus.publish(topic, 1),
        (bus: Awaited<ReturnType<typeof t.bus>>) => bus.receive(topic, { group: t.name(), timeout: 60_000 }),
      ];
      for (const start of starts) {
        for (const ticks of [0, 1, 3]) {
          const bus = await t.bus();
          const [started] = [Promise.allSettled([start(bus)])];
          for (let n = 0; n < ticks; n++) await Promise.resolve();
          await bus.close();
          const [outcome] = await started;
          if (outcome!.status === 'rejected')
            assert.ok(ClosedError.is(outcome!.reason), String(outcome!.reason));
          await rejection(ClosedError, () => bus.publish(topic, 1));
        }
      }
    },
  },
  {
    id: 'lifecycle/use-after-close',
    name: 'every call after the close is refused as closed',
    async run(t) {
      const bus = await t.bus();
      await bus.connect();
      await bus.close();
      const topic = t.topic();
      const group = t.name();
      const calls: (() => unknown)[] = [
        () => bus.connect(),
        () => bus.publish(topic, 1),
        () => bus.publishMany([{ topic, data: 1 }]),
        () => bus.publishMany([]),
        () => bus.subscribe(topic, () => {}, { group }),
        () => bus.stream(topic, { group }).next(),
        () => bus.receive(topic, { group }),
        () => bus.run(),
      ];
      if (t.capabilities.request !== 'none') {
        calls.push(
          () => bus.request(topic, 1),
          () => bus.scatter(topic, 1),
          () => bus.requestFirst([topic], 1),
          () => bus.respond(topic, () => 1),
        );
      }
      if (t.capabilities.cancel !== 'none') calls.push(() => bus.cancel({ id: 'x', topic }));
      if (t.capabilities.browse !== 'none') {
        calls.push(
          () => bus.deadLetters.list(),
          () => bus.deadLetters.get('x'),
          () => bus.deadLetters.replay({}),
          () => bus.deadLetters.discard({}),
        );
      }
      if (t.capabilities.admin !== 'none') calls.push(() => bus.admin.listTopics());
      for (const call of calls) await rejection(ClosedError, call);
    },
  },
  {
    id: 'lifecycle/dispose',
    name: '"await using" closes the bus, and ends a subscription, at the end of its block',
    async run(t) {
      const topic = t.topic();
      const outer = await t.bus();
      {
        await using bus = await t.bus();
        await bus.publish(topic, 1);
        await using subscription = await outer.subscribe(topic, () => {}, { group: t.name() });
        assert.equal(subscription.pattern, topic);
        assert.equal(outer.stats().subscriptions, 1);
        t.cleanup(() => rejection(ClosedError, () => bus.publish(topic, 1)));
      }
      assert.equal(outer.stats().subscriptions, 0);
    },
  },
]);
