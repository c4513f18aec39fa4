import assert from 'node:assert/strict';
import { ValidationError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { arrival, listen } from '../helpers/listen.ts';
import { rejection } from '../helpers/rejection.ts';

/** Each with what its refusal has to say. */
const BAD_NAMES: readonly (readonly [unknown, string])[] = [
  ['', 'empty'],
  ['.', 'segments'],
  ['a.', 'segments'],
  ['.a', 'segments'],
  ['a..b', 'segments'],
  ['a b', 'letters'],
  ['a/b', 'letters'],
  ['a:b', 'letters'],
  ['ä', 'letters'],
  ['a\n', 'letters'],
  ['a\0b', 'letters'],
  ['>', 'letters'],
  ['a.$b', 'letters'],
  ['x'.repeat(201), '200'],
  [Array(17).fill('a').join('.'), '16'],
  [undefined, 'undefined'],
  [null, 'null'],
  [7, '7'],
  [['a'], 'an array'],
];

const BAD_PATTERNS: readonly (readonly [unknown, string])[] = [
  ...BAD_NAMES,
  ['a*', 'whole segment'],
  ['*a.b', 'whole segment'],
  ['a.#b', 'whole segment'],
  ['**', 'whole segment'],
  ['a.##', 'whole segment'],
];

const BAD_TOPICS: readonly (readonly [unknown, string])[] = [
  ...BAD_NAMES,
  ['a.*', 'letters'],
  ['#', 'letters'],
];

/** What a topic and a pattern may be called. */
export const patternsNames: readonly Case[] = chapter('patterns', [
  {
    id: 'patterns/bad-topics',
    name: 'what is no topic is refused by name wherever a topic is given',
    async run(t) {
      const bus = await t.bus();
      for (const [topic, part] of BAD_TOPICS) {
        const shown = typeof topic === 'string' && topic.length < 100 ? [JSON.stringify(topic)] : [];
        for (const call of [
          () => bus.publish(topic as string, 1),
          () => bus.request(topic as string, 1),
          () => bus.scatter(topic as string, 1),
        ]) {
          await rejection(ValidationError, call, part, ...shown);
        }
      }
      assert.equal(bus.stats().published, 0);
    },
  },
  {
    id: 'patterns/bad-patterns',
    name: 'what is no pattern is refused by name wherever a pattern is given',
    async run(t) {
      const bus = await t.bus();
      for (const [pattern, part] of BAD_PATTERNS) {
        const given = pattern as string;
        const shown = typeof pattern === 'string' && pattern.length < 100 ? [JSON.stringify(pattern)] : [];
        for (const call of [
          () => bus.subscribe(given, () => {}),
          () => bus.respond(given, () => {}),
          () => bus.stream(given),
          () => bus.receive(given, { group: 'g' }),
        ]) {
          await rejection(ValidationError, call, part, ...shown);
        }
      }
      assert.equal(bus.stats().subscriptions, 0);
    },
  },
  {
    id: 'patterns/longest-names',
    name: 'topics of 16 segments and of 200 characters work, with groups of 64 characters',
    async run(t) {
      const bus = await t.bus();
      const start = t.topic('');
      const names = [
        `${start}${Array(15).fill('s').join('.')}`,
        `${start}${'x'.repeat(200 - start.length)}`,
        `${start}-`,
        `${start}_`,
        `${start}0.1.2`,
        `${start}-a-.__b__.--`,
      ];
      const group = `${t.name()}-${'g'.repeat(63 - t.name().length)}`;
      assert.equal(group.length, 64);
      for (const name of names) {
        const got = await listen(t, bus, name, { group });
        const message = await arrival(t, got, () => bus.publish(name, name));
        assert.deepEqual([message.data, message.topic], [name, name]);
      }
    },
  },
  {
    id: 'patterns/longest-patterns',
    name: 'patterns of 16 segments and of 200 characters work',
    needs: ['wildcards'],
    async run(t) {
      const bus = await t.bus();
      const start = t.topic('');
      const deep = `${start}${Array(15).fill('*').join('.')}`;
      const wild = `${start}${Array(15).fill('#').join('.')}`;
      const long = `${start}${'x'.repeat(198 - start.length)}.*`;
      const got = await Promise.all([deep, wild, long].map((pattern) => listen(t, bus, pattern)));
      const deepTopic = `${start}${Array(15).fill('s').join('.')}`;
      const longTopic = `${start}${'x'.repeat(198 - start.length)}.y`;
      await bus.publish(deepTopic, 'deep');
      await bus.publish(longTopic, 'long');
      await t.until('all came', () => got.every(({ data }) => data.length > 0) && got[1]!.data.length >= 2);
      const came = got.map(({ data }) => data.toSorted());
      assert.deepEqual(came, [['deep'], ['deep', 'long'], ['long']]);
    },
  },
]);
