import { inspect } from 'node:util';
import { ConfigError, createBus } from '@ambus/core';
import { expect, test } from 'vitest';
import { redis } from '../src/index.ts';
import { settings } from '../src/options.ts';
import { parseUrl } from '../src/url.ts';

test.each([
  ['redis://h', { way: 'single', secure: false, nodes: [{ host: 'h', port: 6379 }], db: undefined }],
  [
    'rediss://u:p%40s@h:1/3',
    { secure: true, username: 'u', password: 'p@s', nodes: [{ host: 'h', port: 1 }], db: 3 },
  ],
  ['redis://:secret@h', { username: undefined, password: 'secret' }],
  ['redis://[::1]:7', { nodes: [{ host: '::1', port: 7 }] }],
  [
    'redis+cluster://a:1,b',
    {
      way: 'cluster',
      nodes: [
        { host: 'a', port: 1 },
        { host: 'b', port: 6379 },
      ],
    },
  ],
  [
    'redis+sentinel://a,b:2/main/1',
    {
      way: 'sentinel',
      master: 'main',
      db: 1,
      nodes: [
        { host: 'a', port: 26379 },
        { host: 'b', port: 2 },
      ],
    },
  ],
])('%s', (url, expected) => {
  expect(parseUrl(url)).toMatchObject(expected);
});

test.each([
  'http://h',
  'redis://',
  'redis://a,b',
  'redis://h/x',
  'redis://h/-1',
  'redis://h/1.5',
  'redis://h?db=3',
  'redis://h/3?x=1',
  'redis+sentinel://a/main/0?x=1',
  'redis://h:99999',
  'redis+sentinel://a',
  '',
])('%j is no url', (url) => {
  expect(() => redis({ url })).toThrow(ConfigError);
});

test.each([
  [{ port: 0 }, '"port"'],
  [{ lease: 10 }, '"lease"'],
  [{ shards: 0 }, '"shards"'],
  [{ cluster: [] }, '"cluster"'],
  [{ cluster: [{ host: 'a' }] }, '"cluster"'],
  [{ sentinel: { nodes: [] } }, '"sentinel"'],
  [{ client: {} }, '"client"'],
  [{ maxReaders: -1 }, '"maxReaders"'],
  [{ colour: 1 }, '"colour"'],
  [{ cluster: [{ host: 'a', port: 1 }], db: 1 }, '"db"'],
  [
    { cluster: [{ host: 'a', port: 1 }], sentinel: { name: 'm', nodes: [{ host: 'a', port: 1 }] } },
    'give one of them',
  ],
  [{ url: 'redis://h', cluster: [{ host: 'a', port: 1 }] }, '"cluster" and "url"'],
  [{ url: 'redis://h', sentinel: { name: 'm', nodes: [{ host: 'a', port: 1 }] } }, '"sentinel" and "url"'],
  [{ host: 'h', cluster: [{ host: 'a', port: 1 }] }, '"cluster" and "host"'],
  [{ url: 'redis+cluster://a', host: 'h' }, '"url" and "host"'],
  [{ url: 'redis+sentinel://a/main', port: 1 }, '"url" and "port"'],
  [null, 'must be an object, not null'],
  [[], 'must be an object'],
  [{ password: 'x'.repeat(5_000) }, '"password"'],
] as const)('%j is refused', (options, text) => {
  expect(() => redis(options as never)).toThrow(text);
  expect(() => redis(options as never)).toThrow(ConfigError);
});

const thrownBy = (make: () => unknown): unknown => {
  try {
    return make();
  } catch (error) {
    return error;
  }
};

test.each([
  { url: 'http://u:hidden@h' },
  { url: 'redis://u:hidden@h:0' },
  { url: 'redis://u:pa/hidden@h' },
  { url: 'redis://u:pa@hidden@h' },
  { url: 'redis://u:pa@hidden/x@h' },
  { url: 'redis://u:hidden' },
  { url: 'redis://h?password=hidden' },
  { cluster: ['redis://u:hidden@a:1'] },
  { password: 5 as never, username: '' },
  { password: `hidden${'x'.repeat(5_000)}` },
  { sentinel: { name: 'm', nodes: [{ host: 'h', port: 1 }], password: `hidden${'x'.repeat(5_000)}` } },
  'redis://u:hidden@h',
])('%j shows no secret', (options) => {
  const error = thrownBy(() => redis(options as never));
  expect(ConfigError.is(error)).toBe(true);
  expect(inspect(error)).not.toContain('hidden');
  expect(inspect(error)).not.toContain('AMB_REDIS_URL');
});

test('nor does a bus that is to use redis by its name', async () => {
  for (const url of ['redis://u:pa/hidden@h', `redis://u:hidden@${'h'.repeat(3_000)}`]) {
    const error = await createBus({ broker: 'redis', url }).catch((one: unknown) => one);
    expect(ConfigError.is(error)).toBe(true);
    expect(inspect(error)).not.toContain('hidden');
  }
});

test('nor what is printed', () => {
  expect(inspect(redis({ url: 'redis://u:hidden@h' }), { depth: 9, showHidden: true })).not.toContain(
    'hidden',
  );
});

test('options go before the url, and that before the environment', () => {
  const environment = { AMB_REDIS_URL: 'redis://env:7/4' };
  expect(settings({}, environment).target).toMatchObject({ host: 'env', port: 7, db: 4 });
  expect(settings({ url: 'redis://url:8' }, environment).target).toMatchObject({
    host: 'url',
    port: 8,
    db: 0,
  });
  expect(settings({ url: 'redis://url:8', host: 'own' }, environment).target).toMatchObject({
    host: 'own',
    port: 6379,
  });
  expect(() => settings({}, { AMB_REDIS_URL: 'nonsense://x:y@z' })).toThrow('AMB_REDIS_URL');
});
