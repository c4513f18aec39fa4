import { type Broker, createBus } from '@ambus/core';
import { memory } from '@ambus/memory';
import { expect, it } from 'vitest';
import { createTestBus, Faults, withFaults } from '../src/index.ts';

it('hits by topic, while a condition holds, and not more often than it may', async () => {
  await using test = await createTestBus();
  const { bus, faults } = test;
  let down = true;
  const fault = faults.fail({ on: 'publish', topic: 'a.*', when: () => down, times: 2 });
  await bus.publish('b.x', 1);
  await expect(bus.publish('a.x', 1)).rejects.toThrow('injected fault on publish');
  down = false;
  await bus.publish('a.x', 1);
  down = true;
  await expect(bus.publish('a.y', 1)).rejects.toThrow();
  await bus.publish('a.y', 1);
  expect(fault.hits).toBe(2);
  fault.remove();
  fault.remove();
});

it('ends all rules with clear, and keeps the counts', async () => {
  await using test = await createTestBus({ faults: [{ fault: 'fail', on: 'publish' }] });
  await expect(test.bus.publish('a', 1)).rejects.toThrow();
  test.faults.clear();
  await test.bus.publish('a', 1);
  expect(test.faults.counts.publish).toMatchObject({ seen: 2, fail: 1 });
});

it('lets the first of several rules count, and each count for itself', async () => {
  await using test = await createTestBus();
  const first = test.faults.fail({ on: 'publish', nth: 2 });
  const second = test.faults.drop({ on: 'publish', nth: [2, 3] });
  for (const data of [1, 3]) await test.bus.publish('a', data).catch(() => {});
  await test.bus.publish('a', 4);
  expect([first.hits, second.hits]).toEqual([1, 1]);
  expect(test.hub.records('a')).toHaveLength(1);
});

it('hits a share, the same records with the same seed', async () => {
  const run = async (seed: number): Promise<number[]> => {
    await using test = await createTestBus({ seed, faults: [{ fault: 'fail', on: 'publish', share: 0.3 }] });
    const failed: number[] = [];
    for (let n = 0; n < 300; n++) await test.bus.publish('a', n).catch(() => failed.push(n));
    return failed;
  };
  const failed = await run(7);
  expect(failed.length).toBeGreaterThan(60);
  expect(failed.length).toBeLessThan(120);
  expect(await run(7)).toEqual(failed);
  expect(await run(8)).not.toEqual(failed);
});

const thrower = (): never => {
  throw new RangeError('no such field');
};

it('refuses a publish whose condition throws, naming it, and counts no fault', async () => {
  await using test = await createTestBus();
  const fault = test.faults.drop({ on: 'publish', topic: 'a', when: thrower });
  await expect(test.bus.publish('a', 1)).rejects.toMatchObject({
    code: 'CONFIG',
    retryable: false,
    message: 'the "when" of a fault rule (drop on publish) threw: no such field',
    cause: { name: 'RangeError' },
  });
  expect(fault.hits).toBe(0);
  await test.bus.publish('b', 1);
});

it.each(['delivery', 'ack'] as const)(
  'goes on where a condition throws on %s, and the clock tells',
  async (on) => {
    await using test = await createTestBus();
    const { bus, clock } = test;
    const got: unknown[] = [];
    for (const topic of ['a', 'b']) {
      await bus.subscribe(topic, ({ data }) => void got.push(`${topic}${data}`), { group: 'g' });
    }
    const fault = test.faults.drop({ on, topic: 'a', when: thrower });
    await bus.publishMany([1, 2].flatMap((data) => ['a', 'b'].map((topic) => ({ topic, data }))));
    await expect(clock.settle()).rejects.toThrow(`the "when" of a fault rule (drop on ${on}) threw`);
    await clock.advance(60_000);
    expect(got.sort()).toEqual(['a1', 'a2', 'b1', 'b2']);
    expect(bus.stats().acked).toBe(4);
    fault.remove();
    await bus.publish('a', 3);
    await clock.settle();
    expect(got).toContain('a3');
  },
);

it('lets an answer arrive although a condition throws on it', async () => {
  await using test = await createTestBus();
  await test.bus.respond('ask', () => 'answer');
  const readsHeaders = (record: { channel: string }): boolean => record.channel === 'reply' && thrower();
  test.faults.drop({ on: 'delivery', when: readsHeaders });
  expect((await test.bus.request('ask')).data).toBe('answer');
  await expect(test.clock.settle()).rejects.toThrow('"when" of a fault rule');
});

it.each<[unknown, RegExp]>([
  [{ fault: 'explode', on: 'publish' }, /"fault" must be "fail" or "drop"/],
  [{ fault: 'fail' }, /"on" must be "publish" or "delivery"/],
  [{ fault: 'fail', on: 'connect' }, /"on" must be .*, not "connect"/],
  [{ fault: 'fail', on: 'ack', nth: 0 }, /"nth" must be a whole number/],
  [{ fault: 'fail', on: 'ack', nth: [1, 'x'] }, /"nth" must be/],
  [{ fault: 'fail', on: 'ack', share: 2 }, /"share" must be a number from 0 to 1, not 2/],
  [{ fault: 'fail', on: 'ack', times: 0 }, /"times" must be/],
  [{ fault: 'fail', on: 'ack', when: true }, /"when" must be a function, not true/],
  [{ fault: 'fail', on: 'ack', topic: 'a..b' }, /"topic" must be valid/],
  [{ fault: 'fail', on: 'ack', error: 'text' }, /"error" must be an error, not "text"/],
  [{ fault: 'drop', on: 'ack', error: new Error('x') }, /"error" does not exist/],
  [{ fault: 'delay', on: 'ack' }, /"delay" must be a whole number of milliseconds/],
  [{ fault: 'drop', on: 'ack', delay: 5 }, /"delay" does not exist/],
  ['fail', /the fault rule must be an object, not "fail"/],
])('refuses the rule %o', (rule, message) => {
  expect(() => new Faults().add(rule as any)).toThrow(message);
  expect(() => withFaults(memory(), [rule as any])).toThrow(message);
});

it('refuses what is no broker, no list, no seed', () => {
  expect(() => withFaults({} as any)).toThrow(/the broker must be a broker \(with connect/);
  expect(() => withFaults(memory(), {} as any)).toThrow(/the fault rules must be a list, or Faults/);
  expect(() => new Faults({ seed: 1.5 })).toThrow(/"seed" must be a whole number/);
});

it('has the members of the broker, and no optional one that the broker does not have', async () => {
  const whole = memory();
  const wrapped = withFaults(whole);
  expect(wrapped.name).toBe('memory');
  expect(wrapped.capabilities).toBe(whole.capabilities);
  expect(wrapped.admin).toBe(whole.admin);
  expect(wrapped.clock).toBe(whole.clock);
  expect(wrapped.hub).toBe(whole.hub);
  expect(wrapped.native()).toBe(whole.hub);
  expect(wrapped.cancel).toBe(wrapped.cancel);
  const { name, capabilities } = whole;
  const bare: Broker = {
    name,
    capabilities,
    connect: (host) => whole.connect(host),
    publish: (records, deadline) => whole.publish(records, deadline),
    subscribe: (source, sink) => whole.subscribe(source, sink),
    openInbox: (sink) => whole.openInbox(sink),
    native: () => whole.native(),
    close: () => whole.close(),
  };
  const smaller = withFaults(bare);
  for (const member of ['admin', 'cancel', 'clock', 'topicOptions'] as const) {
    expect(member in smaller).toBe(false);
    expect(smaller[member]).toBeUndefined();
  }
  expect('faults' in smaller).toBe(true);
});

it("changes nothing without rules, on the machine's clock", async () => {
  await using bus = await createBus({ broker: withFaults(memory({ hub: 'faults-plain' })), logger: false });
  const got: string[] = [];
  const all = Promise.withResolvers<void>();
  await bus.subscribe(
    'jobs',
    (message) => {
      if (message.attempt === 1 && message.data === 0) throw new Error('again');
      if (got.push(`${message.data}#${message.attempt}`) === 100) all.resolve();
    },
    { group: 'g', retry: { delays: [10] } },
  );
  await bus.publishMany(Array.from({ length: 100 }, (_, data) => ({ topic: 'jobs', data })));
  await all.promise;
  expect(got.at(-1)).toBe('0#2');
  const { token, ...receipt } = await bus.publish('jobs', 'later', { delay: 60_000 });
  expect(await bus.cancel({ ...receipt, ...(token !== undefined && { token }) })).toBe(true);
});

it("takes a delay by the machine's clock", async () => {
  const broker = withFaults(memory({ hub: 'faults-real' }));
  broker.faults.delay({ on: 'publish', delay: 30 });
  await using bus = await createBus({ broker, logger: false });
  const began = performance.now();
  await bus.publish('a', 1);
  expect(performance.now() - began).toBeGreaterThan(25);
});
