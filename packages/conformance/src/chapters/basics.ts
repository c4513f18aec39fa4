import assert from 'node:assert/strict';
import { type Case, chapter } from '../case.ts';

export const basics: readonly Case[] = chapter('basics', [
  {
    id: 'basics/round-trip',
    name: 'what is published arrives, with its data, headers and metadata',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group: t.name() });
      const { id } = await bus.publish(
        topic,
        { n: 1 },
        { headers: { a: 'b' }, key: 'k', correlationId: 'c' },
      );
      await t.until('it arrived', () => got.messages.length === 1);
      const [message] = got.messages;
      assert.equal(message!.id, id);
      assert.deepEqual(message!.data, { n: 1 });
      assert.deepEqual({ ...message!.headers }, { a: 'b' });
      assert.equal(message!.key, 'k');
      assert.equal(message!.correlationId, 'c');
    },
  },
]);
