import assert from 'node:assert/strict';
import { type Case, chapter } from '@ambus/conformance';

export const additional: readonly Case[] = chapter('groups', [
  {
    id: 'groups/my-own',
    name: 'a sentence that is true when the case passes',
    needs: ['durable'],
    async run(t) {
      const bus = await t.bus();
      const got = t.collector();
      await bus.subscribe(t.topic('a.*'), got.handle, { group: t.name() });
      await bus.publish(t.topic('a.b'), 1);
      await t.until('it came', () => got.data.length === 1);
      assert.deepEqual(got.data, [1]);
    },
  },
]);
