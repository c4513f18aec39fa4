import { readFileSync } from 'node:fs';
import { ConfigError } from '@ambus/core';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { works } from './support/works.ts';
import { until, type World, world } from './support/world.ts';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const account = { username: 'app', password: 'secret' };

function rulesFor(prefix: string): string[] {
  const rules = /```\nACL SETUSER app (.*)\n```/.exec(readme)![1]!;
  return rules.replace('{ambus.*}', `{${prefix}.*}`).split(' ');
}

/** What the README puts in the place of a rule for an account that makes nothing. */
function withoutMaking(rules: readonly string[]): string[] {
  const [, instead, rule] = /put `(\S+)` in the place of `(\S+)`/.exec(readme)!;
  expect(rules).toContain(rule);
  return rules.map((one) => (one === rule ? instead! : one));
}

test('the account of the README may do what a bus does', async () => {
  await w.raw.acl('SETUSER', 'app', 'reset', ...rulesFor(w.prefix));
  await works(await w.bus(account));
});

test('the one that makes nothing may do all with what is there', async () => {
  await w.raw.acl('SETUSER', 'app', 'reset', ...withoutMaking(rulesFor(w.prefix)));
  const [maker, bus] = [await w.bus(), await w.bus(account, { provision: 'none' })];
  await works(bus, maker);
  // Also what began as a topic of plain messages.
  await maker.publish('plain', 1);
  await maker.admin.ensureGroup('plain', 'g', 'earliest');
  await maker.publish('other', 1);
  await maker.admin.ensureTopic('other');
  for (const topic of ['plain', 'other']) {
    for (const priority of ['background', 'low', 'high', 'critical'] as const) {
      await bus.publish(topic, 2, { priority });
    }
    await bus.publish(topic, 3, { key: 'k' });
    expect(await bus.admin.listTopics()).toContainEqual(expect.objectContaining({ topic, depth: 6 }));
  }
  const error = await bus.subscribe('plain', () => {}, { group: 'new' }).catch((one: unknown) => one);
  expect(ConfigError.is(error)).toBe(true);
});

test('without patterns the channels of the database are enough, and with them they are not', async () => {
  const rules = rulesFor(w.prefix).map((rule) => (rule === '&*' ? `&${w.prefix}@0:*` : rule));
  await w.raw.acl('SETUSER', 'app', 'reset', ...rules);
  const bus = await w.bus(account);
  const got: unknown[] = [];
  await bus.subscribe('single', ({ data }) => void got.push(data), { group: 'g' });
  await bus.publish('single', 1);
  await expect.poll(() => got).toEqual([1]);
  for (const group of [{ group: 'g' }, {}]) {
    const error = await bus.subscribe('wide.*', () => {}, group).catch((one: unknown) => one);
    expect(ConfigError.is(error)).toBe(true);
  }
});

test('what was refused does not keep the bus from coming back', async () => {
  const channels = ['d', 'b:stored'].map((name) => `&${w.prefix}@0:${name}`);
  const rules = rulesFor(w.prefix).flatMap((rule) => (rule === '&*' ? channels : [rule]));
  await w.raw.acl('SETUSER', 'narrow', 'reset', ...rules);
  const topics = { 'flying.#': { durability: 'ephemeral' } } as const;
  const bus = await w.bus({ ...account, username: 'narrow' }, { topics });
  for (const refused of [
    () => bus.subscribe('flying.*', () => {}),
    () => bus.subscribe('flying.one', () => {}),
    () => bus.request('asked', 1),
  ]) {
    const error = await refused().catch((one: unknown) => one);
    expect(ConfigError.is(error)).toBe(true);
  }
  let reconnected = 0;
  bus.on('reconnected', () => reconnected++);
  await w.raw.client('KILL', 'USER', 'narrow');
  await until(() => reconnected === 1, 5_000);
  await bus.publish('stored', 1);
});

test('a responder that was refused gets no requests', async () => {
  await w.raw.acl('SETUSER', 'mute', 'reset', ...rulesFor(w.prefix), '-hset');
  const bus = await w.bus({ ...account, username: 'mute' });
  const error = await bus.respond('asked', () => 'refused', { group: 'g' }).catch((one: unknown) => one);
  expect(ConfigError.is(error)).toBe(true);
  await w.raw.acl('SETUSER', 'mute', '+hset');
  await bus.respond('asked', () => 'answered', { group: 'g' });
  let reconnected = 0;
  bus.on('reconnected', () => reconnected++);
  // All that listens makes itself known again.
  await w.raw.client('KILL', 'USER', 'mute');
  await until(() => reconnected === 1);
  for (let n = 0; n < 6; n++) {
    expect((await bus.request('asked', n, { timeout: 2_000 })).data).toBe('answered');
  }
});

test('on a cluster, too', { timeout: 60_000 }, async () => {
  const clustered = await world({ cluster: 3 });
  try {
    const nodes = clustered.server.nodes.map(({ host, port }) => ({ host, port }));
    for (const node of nodes) {
      const raw = new Redis(node);
      await raw.acl('SETUSER', 'app', 'reset', ...rulesFor(clustered.prefix));
      raw.disconnect();
    }
    await works(await clustered.bus({ url: undefined, cluster: nodes, ...account }));
    const at = nodes.map(({ host, port }) => `${host}:${port}`).join(',');
    await works(await clustered.bus({ url: `redis+cluster://app:secret@${at}` }));
  } finally {
    await clustered.close();
  }
});
