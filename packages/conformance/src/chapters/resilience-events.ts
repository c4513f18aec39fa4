import assert from 'node:assert/strict';
import { type Case, chapter } from '../case.ts';

/** What a bus tells of its work. */
export const resilienceEvents: readonly Case[] = chapter('resilience', [
  {
    id: 'resilience/listeners',
    name: 'a listener that throws or rejects breaks nothing; one that was taken away hears nothing more',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector();
      const heard: string[] = [];
      bus.on('message.published', () => {
        throw new Error('a bad listener');
      });
      bus.on('message.handled', () => Promise.reject(new Error('another')));
      bus.on('message.published', ({ id }) => heard.push(id));
      const off = bus.on('message.published', () => heard.push('taken away'));
      off();
      off();
      await bus.subscribe(topic, got.handle, { group: t.name() });
      const { id } = await bus.publish(topic, 1);
      await t.until('it was handled', () => bus.stats().handled === 1);
      assert.deepEqual(heard, [id]);
      await t.until(
        'the errors are logged',
        () => t.log.filter(({ level }) => level === 'error').length >= 2,
      );
    },
  },
  {
    id: 'resilience/events',
    name: 'events tell the way of a message: published, failed, retried, handled, each with its attempt',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      const story: string[] = [];
      const names = ['published', 'failed', 'retried', 'handled', 'dead_lettered'] as const;
      for (const name of names) {
        bus.on(`message.${name}`, (event) => {
          const attempt = 'attempt' in event ? ` ${event.attempt}` : '';
          if (event.topic === topic) story.push(`${name}${attempt}`);
        });
      }
      await bus.subscribe(
        topic,
        ({ attempt }) => {
          if (attempt === 1) throw new Error('once');
        },
        { group, retry: { delays: [30] } },
      );
      await bus.publish(topic, 1);
      await t.until('it was handled', () => story.includes('handled 2'));
      // The receipt may come back after the handler has run.
      await t.until('it was published', () => story.includes('published'));
      assert.deepEqual(
        story.filter((one) => one !== 'published'),
        ['failed 1', 'retried 1', 'handled 2'],
      );
      const { published, handled, failed, retried } = bus.stats();
      assert.deepEqual(
        { published, handled, failed, retried },
        { published: 1, handled: 1, failed: 1, retried: 1 },
      );
    },
  },
]);
