import type { Bus, DeadLetter, DeadLetterFilter } from '@ambus/core';
import type { CaseContext } from '../context.ts';
import { type Collector, listen } from './listen.ts';

/** Watches a dead-letter topic, on any broker: what comes there is a message with `failure`. */
export function collectDeadLetters(
  t: CaseContext,
  bus: Bus,
  deadLetterTopic: string,
): Promise<Collector<unknown>> {
  return listen(t, bus, deadLetterTopic, { group: t.name('dead-letters') });
}

/** Waits until `count` dead letters lie there, and returns them. Only where the broker offers `browse`. */
export function lettersOf(
  t: CaseContext,
  bus: Bus,
  filter: DeadLetterFilter,
  count: number,
): Promise<readonly DeadLetter[]> {
  return t.until(`${count} dead letters lie there`, async () => {
    const { items } = await bus.deadLetters.list({ ...filter, limit: 1_000 });
    return items.length >= count ? items : undefined;
  });
}
