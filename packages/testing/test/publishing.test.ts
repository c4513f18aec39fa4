import { createBus, MessageTooLargeError, type StandardSchema, TimeoutError } from '@ambus/core';
import { memory } from '@ambus/memory';
import { expect, it } from 'vitest';
import { createTestBus } from '../src/index.ts';

/** Takes its time, and wants a number. */
const slowSchema: StandardSchema<{ n: number }> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    async validate(value) {
      const isValid = typeof (value as { n: unknown }).n === 'number';
      return isValid ? { value: value as { n: number } } : { issues: [{ message: 'no number' }] };
    },
  },
};

it('sends what was validated, whatever becomes of it meanwhile', async () => {
  await using test = await createTestBus({ topics: { t: { schema: slowSchema } } });
  const seen: unknown[] = [];
  await test.bus.subscribe('t', ({ data }) => void seen.push(data));
  const data: { n: unknown } = { n: 1 };
  const published = test.bus.publish('t', data as { n: number });
  data.n = 'bad';
  await published;
  await test.clock.advance(10);
  expect(seen).toEqual([{ n: 1 }]);
  await expect(test.bus.publish('t', { n: 10n } as never)).rejects.toThrow('no number');
});

it('sends the bytes that it was given, although their buffer is used again while middleware works', async () => {
  await using test = await createTestBus({
    middleware: [
      {
        async publish(outgoing, next) {
          await Promise.resolve();
          expect(Buffer.isBuffer(outgoing.data)).toBe(true);
          return next();
        },
      },
    ],
  });
  const seen: string[] = [];
  await test.bus.subscribe('t', ({ data }) => void seen.push(Buffer.from(data as Uint8Array).toString()));
  const buffer = Buffer.from('first');
  const published = test.bus.publish('t', buffer);
  buffer.write('again');
  await published;
  await test.clock.advance(10);
  expect(seen).toEqual(['first']);
});

it('refuses to compress what no reader would decompress', async () => {
  await using bus = await createBus({ broker: memory({ maxMessageBytes: 1_000 }) });
  const published = bus.publish('t', 'x'.repeat(100_000), { compress: true });
  await expect(published).rejects.toSatisfy(MessageTooLargeError.is);
  await bus.publish('t', 'x'.repeat(10_000), { compress: true });
});

it('lets a middleware publish on other keys, and ends its wait for the key that waits for it', async () => {
  await using test = await createTestBus({
    middleware: [
      {
        async publish(outgoing, next) {
          if (!Array.isArray(outgoing.data)) return next();
          const [first, key] = outgoing.data;
          await test.bus.publish(outgoing.topic, first, { key });
          outgoing.data = 'rest';
          return next();
        },
      },
    ],
  });
  const seen: unknown[] = [];
  await test.bus.subscribe('t', ({ data }) => void seen.push(data));
  await test.bus.publish('t', ['one', 'other'], { key: 'k' });
  const stuck = test.bus.publish('t', ['two', 'k'], { key: 'k' });
  const refused = expect(stuck).rejects.toSatisfy(TimeoutError.is);
  await test.clock.advance(60_000);
  await refused;
  await test.bus.publish('t', 'after', { key: 'k' });
  await test.clock.advance(10);
  expect(seen).toEqual(['one', 'rest', 'after']);
});
