import { expect, it } from 'vitest';
import { createTestBus } from '../src/index.ts';

it('lets what an edit has started discard dead letters when the edit is over', async () => {
  await using test = await createTestBus({});
  const { bus, clock } = test;
  await bus.subscribe('bad', () => Promise.reject(new Error('never')), {
    group: 'g',
    retry: { maxRetries: 0 },
  });
  for (const n of [1, 2]) await bus.publish('bad', n);
  await clock.advance(10);
  const discarded: number[] = [];
  await bus.subscribe(
    'audit',
    async () => {
      await new Promise<void>((resolve) => void clock.setTimeout(resolve, 30));
      discarded.push(await bus.deadLetters.discard({ reason: 'another' }));
    },
    { group: 'a', retry: { maxRetries: 0 } },
  );
  const { items } = await bus.deadLetters.list();
  await bus.deadLetters.replay(items[0]!.id, {
    edit: async () => void (await bus.publish('audit', 'from the edit')),
  });
  await clock.advance(100);
  expect(discarded).toEqual([0]);
});

it('tells the log, and not the process, of an answer that nobody waits for and that cannot be sent', async () => {
  const logged: string[] = [];
  const note = (_: object, text?: string): void => void logged.push(text ?? '');
  const logger = { debug: note, info: note, warn: note, error: note };
  await using test = await createTestBus({ logger });
  await test.bus.respond('q', (_, reply) => {
    void reply.send(1, { ttl: 5 } as never);
  });
  const asked = test.bus.request('q', 1, { timeout: 1_000 });
  const refused = expect(asked).rejects.toThrow('no answer');
  await test.clock.advance(2_000);
  await refused;
  expect(logged).toContain('an answer could not be sent');
});

it('starts a group with what is new, and a page with the oldest, where nothing else is said', async () => {
  await using test = await createTestBus({});
  const { bus } = test;
  await bus.publishMany(Array.from({ length: 60 }, (_, data) => ({ topic: 'a', data })));
  await bus.admin.ensureGroup('a', 'g');
  await bus.publish('a', 'new');
  expect((await bus.admin.group('a', 'g'))?.depth).toBe(1);
  const first = await bus.admin.browse('a');
  expect(first.records).toHaveLength(50);
  const { records, cursor } = await bus.admin.browse('a', first.cursor);
  expect([records.length, cursor]).toEqual([11, undefined]);
});
