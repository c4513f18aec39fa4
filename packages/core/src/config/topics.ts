import type { Broker } from '../broker.ts';
import type { DeadLetterRule } from '../dead-letter/options.ts';
import { ConfigError, UnsupportedError } from '../errors.ts';
import type { TopicOptions } from '../topic/config.ts';
import { isLiteral } from '../topic/pattern.ts';
import { describe, patternProblem } from '../topic/topic.ts';
import type { TopicRules } from './bus-options.ts';
import { type Check, integer, milliseconds, oneOf, options, serializer } from './check.ts';

const CHECKS: Readonly<Record<string, Check>> = {
  durability: oneOf('durable', 'ephemeral'),
  retention: options({ maxAge: milliseconds(1), maxMessages: integer(1) }),
  ttl: milliseconds(1),
  schema: (value) =>
    typeof (value as { '~standard'?: { validate?: unknown } } | null)?.['~standard']?.validate === 'function'
      ? undefined
      : 'a Standard Schema (of zod, valibot, arktype …)',
  serializer,
};

type Rule = readonly [pattern: string, options: TopicOptions];

/**
 * The `topics` option as a list, checked, with a rule for the dead-letter topic.
 *
 * In an object literal topics come before patterns and longer patterns before shorter ones, since nobody thinks of the
 * order of keys; a list is taken in its own order.
 */
export function topicRules(
  rules: TopicRules | undefined,
  deadLetter: DeadLetterRule | false,
  broker: Broker,
): readonly Rule[] {
  const list: Rule[] = Array.isArray(rules)
    ? rules.map((rule) => {
        const { pattern, ...rest } = rule ?? {};
        return [pattern, rest] as const;
      })
    : Object.entries(rules ?? {}).sort(([a], [b]) => rank(b) - rank(a));
  for (const [pattern, given] of list) checkRule(pattern, given, broker);
  if (deadLetter === false) return list;
  const own = list.find(([pattern]) => pattern === deadLetter.topic)?.[1];
  if (own?.durability === 'ephemeral') {
    throw new ConfigError(
      `bus option "topics": the dead-letter topic ${describe(deadLetter.topic)} must be durable`,
    );
  }
  return [
    [deadLetter.topic, { retention: { maxAge: deadLetter.retention }, ...own, durability: 'durable' }],
    ...list,
  ];
}

function rank(pattern: string): number {
  return (isLiteral(pattern) ? 1_000 : 0) + pattern.length;
}

function checkRule(pattern: string, given: TopicOptions, broker: Broker): void {
  const wrong = patternProblem(pattern);
  if (wrong !== undefined)
    throw new ConfigError(`bus option "topics": pattern ${describe(pattern)} ${wrong}`);
  if (typeof given !== 'object' || given === null) {
    throw new ConfigError(
      `bus option "topics": the options of "${pattern}" must be an object, not ${describe(given)}`,
    );
  }
  for (const [name, value] of Object.entries(given)) {
    const check = Object.hasOwn(CHECKS, name) ? CHECKS[name] : undefined;
    if (check === undefined) {
      const known = broker.topicOptions ?? [];
      if (known.includes(name)) continue;
      const all = [...Object.keys(CHECKS), ...known].join(', ');
      throw new ConfigError(
        `bus option "topics": "${pattern}" has "${name}", which ${broker.name} does not know; there are ${all}`,
      );
    }
    const allowed = value === undefined ? undefined : check(value);
    if (allowed !== undefined) {
      throw new ConfigError(
        `bus option "topics": "${name}" of "${pattern}" must be ${allowed}, not ${describe(value)}`,
      );
    }
  }
  const durability = given.durability ?? 'durable';
  if (broker.capabilities[durability] === 'none') {
    throw new UnsupportedError(
      `bus option "topics": "${pattern}" is ${durability}, which ${broker.name} does not offer`,
      {
        broker: broker.name,
      },
    );
  }
}
