import type { Bus, Message, SubscribeOptions } from '@ambus/core';
import type { CaseContext } from '../context.ts';

/** What came, in the order in which it came. */
export interface Collector<T> {
  readonly messages: Message<T>[];
  readonly data: T[];
}

/** Subscribes with a handler that only collects. In a group, unless `options` say `group: undefined`. */
export async function listen<T = unknown>(
  t: CaseContext,
  bus: Bus,
  pattern: string,
  options: Omit<SubscribeOptions<T>, 'ack'> = {},
): Promise<Collector<T>> {
  const got = t.collector<T>();
  await bus.subscribe<T>(pattern, got.handle, { group: t.name(), ...options });
  return got;
}

/** Publishes a message on a topic that has one consumer with a collector, and returns it as it came. */
export async function arrival<T = unknown>(
  t: CaseContext,
  got: Collector<T>,
  publish: () => Promise<unknown>,
): Promise<Message<T>> {
  const before = got.messages.length;
  await publish();
  await t.until('the message came', () => got.messages.length > before);
  return got.messages[before]!;
}
