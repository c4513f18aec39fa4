import { type Broker, type BrokerSubscription, ConnectionError, createBus, type Delivery } from '@ambus/core';
import { describe, expect, it } from 'vitest';
import { MemoryHub, memory } from '../src/index.ts';

const quiet = { logger: false } as const;

/** A broker whose first ack is done, and whose answer to it is lost. */
function forgetful(hub: MemoryHub): Broker {
  const broker = memory({ hub });
  const { subscribe } = broker;
  let isLost = false;
  broker.subscribe = async (source, sink) => {
    const subscription: BrokerSubscription = await subscribe.call(broker, source, sink);
    const ack = subscription.ack.bind(subscription);
    subscription.ack = async (deliveries: readonly Delivery[]) => {
      const refused = await ack(deliveries);
      if (isLost) return refused;
      isLost = true;
      throw new ConnectionError('the answer was lost');
    };
    return subscription;
  };
  return broker;
}

describe('a message whose ack may not have arrived', () => {
  it('does not keep its replay from being tried again', async () => {
    const hub = new MemoryHub();
    await using bus = await createBus({
      ...quiet,
      broker: forgetful(hub),
      retry: { delays: [5], maxRetries: 1 },
    });
    let isBroken = true;
    const attempts: number[] = [];
    await bus.subscribe(
      't',
      ({ attempt }) => {
        attempts.push(attempt);
        if (isBroken) throw Object.assign(new Error('never'), { retryable: false });
        if (attempt === 1) throw new Error('in passing');
      },
      { group: 'g' },
    );
    await bus.publish('t', 1);
    const letters = async () => (await bus.deadLetters.list()).items;
    await expect.poll(async () => (await letters()).length).toBe(1);
    isBroken = false;
    const [letter] = await letters();
    await bus.deadLetters.replay(letter!.id);
    await expect.poll(() => attempts).toEqual([1, 1, 2]);
  });
});

describe('a message that is still being read', () => {
  it.each([undefined, 1])('is not handled once its time is up (batch: %s)', async (batch) => {
    const read = Promise.withResolvers<void>();
    let reads = 0;
    const schema = {
      '~standard': {
        version: 1 as const,
        vendor: 'test',
        async validate(value: unknown) {
          if (++reads > 1) await read.promise;
          return { value };
        },
      },
    };
    await using bus = await createBus({
      ...quiet,
      broker: memory({ hub: new MemoryHub() }),
      topics: { t: { schema } },
    });
    let handled = 0;
    const options = {
      group: 'g',
      handlerTimeout: 20,
      retry: false,
      ...(batch === undefined ? {} : { ack: { batch } }),
    } as const;
    await bus.subscribe('t', () => void handled++, options);
    await bus.publish('t', 1);
    await expect.poll(() => bus.stats().deadLettered).toBe(1);
    read.resolve();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(handled).toBe(0);
  });
});

it('calls of receive that begin at different times share one member of the group', async () => {
  const hub = new MemoryHub();
  await using bus = await createBus({ ...quiet, broker: memory({ hub }) });
  for (let n = 0; n < 5; n++) await bus.receive('t', { group: 'g', from: new Date(n * 1_000), timeout: 0 });
  expect(await bus.admin.group('t', 'g')).toMatchObject({ members: 1 });
});

it('a filter tells maps apart by what is in them', async () => {
  await using bus = await createBus({
    ...quiet,
    broker: memory({ hub: new MemoryHub() }),
    serializer: 'msgpack',
  });
  const got: unknown[] = [];
  const filter = { data: { of: new Map([[1, 'a']]) } } as never;
  await bus.subscribe<{ n: number }>('t', ({ data }) => void got.push(data.n), { filter });
  for (const [n, of] of [new Map([[1, 'b']]), {}, new Map([[1, 'a']])].entries())
    await bus.publish('t', { n, of });
  await expect.poll(() => got).toEqual([2]);
});
