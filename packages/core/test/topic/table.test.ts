import { describe, expect, it } from 'vitest';
import { json } from '../../src/serializer/json.ts';
import { TopicTable } from '../../src/topic/table.ts';

describe('the rules of topics', () => {
  it('are shown to the broker in their order, with defaults, and grow', () => {
    const table = new TopicTable([['a.#', { place: 'x' }]], json());
    expect(table.rules).toEqual([
      { pattern: 'a.#', config: { place: 'x', durability: 'durable', retention: {} } },
    ]);
    table.declare('b', { durability: 'ephemeral' });
    expect(table.rules.map(({ pattern, config }) => [pattern, config.durability])).toEqual([
      ['b', 'ephemeral'],
      ['a.#', 'durable'],
    ]);
  });
});
