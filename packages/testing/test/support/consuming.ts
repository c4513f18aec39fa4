import type { Subscription } from '@ambus/core';
import { createTestBus, type TestBus, type TestBusOptions } from '../../src/index.ts';

/** A test with a consumer in a group that notes `data#attempt`. */
export async function consuming(
  options: TestBusOptions = {},
): Promise<{ test: TestBus; got: string[]; subscription: Subscription }> {
  const test = await createTestBus(options);
  const got: string[] = [];
  const subscription = await test.bus.subscribe(
    'jobs',
    (message) => void got.push(`${message.data}#${message.attempt}`),
    { group: 'g' },
  );
  return { test, got, subscription };
}

/** Publishes them in one call. */
export const publish = (test: TestBus, ...data: unknown[]): Promise<unknown> =>
  test.bus.publishMany(data.map((one) => ({ topic: 'jobs', data: one })));
