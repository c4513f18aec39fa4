import { ConnectionError, type Serializer } from '@ambus/core';
import { expect, it } from 'vitest';
import { createTestBus } from '../src/index.ts';

it('lets the next of a key run when it is unknown what became of an ack', async () => {
  await using test = await createTestBus({ faults: [{ fault: 'fail', on: 'ack', times: 1 }] });
  const seen: unknown[] = [];
  await test.bus.subscribe(
    't',
    async (message) => {
      seen.push(message.data);
      await message.ack().catch(() => {});
    },
    { group: 'g', ack: 'manual' },
  );
  for (const n of [1, 2]) await test.bus.publish('t', n, { key: 'k' });
  await test.clock.advance(1_000);
  expect(seen).toEqual([1, 2]);
});

it('keeps a batch in order through an outage of any length', async () => {
  let isUp = false;
  const serializer: Serializer = {
    contentType: 'application/x-needy',
    serialize: (data) => Buffer.from(JSON.stringify(data)),
    async deserialize(body) {
      if (!isUp) throw new ConnectionError('no registry', { retryable: true });
      return JSON.parse(Buffer.from(body).toString());
    },
  };
  for (const outage of [500, 1_500, 2_500]) {
    isUp = false;
    await using test = await createTestBus({ serializer });
    const seen: unknown[] = [];
    await test.bus.subscribe('t', (messages) => void seen.push(...messages.map(({ data }) => data)), {
      group: 'g',
      ack: { batch: 3, maxWait: 10 },
    });
    for (const n of [1, 2, 3]) await test.bus.publish('t', n, { key: 'k' });
    await test.clock.advance(outage);
    isUp = true;
    await test.clock.advance(5_000);
    expect(seen).toEqual([1, 2, 3]);
  }
});
