import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import * as core from '@ambus/core';
import { BusError, toHeaders } from '@ambus/core';
import { createTestBus } from '@ambus/testing';
import { describe, expect, it } from 'vitest';
import { BUS_SPEC } from '../packages/core/src/config/bus-options.ts';
import { EVENT_NAMES } from '../packages/core/src/events/events.ts';
import { PUBLISH_SPEC } from '../packages/core/src/publish/options.ts';
import { REQUEST_SPEC, RESPOND_SPEC } from '../packages/core/src/request/options.ts';
import { newStats } from '../packages/core/src/stats.ts';
import { SUBSCRIBE_SPEC } from '../packages/core/src/subscribe/options.ts';
import { RECEIVE_SPEC } from '../packages/core/src/subscribe/receive.ts';
import { pages } from './tables.ts';

const read = (page: string): string => readFileSync(join(import.meta.dirname, page), 'utf8');
const names = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' });
const all = names.filter((name) => name.endsWith('.md') && !name.includes('node_modules'));

it.each(pages())('shows in $file what the brokers say of themselves', ({ is, should }) => {
  // After a change: node --conditions=@ambus/source docs/tables.ts
  expect(is).toBe(should);
});

describe('what a page lists is complete', () => {
  const lists: readonly (readonly [page: string, names: Iterable<string>])[] = [
    ['guide/configuration.md', Object.keys(BUS_SPEC)],
    ['guide/publishing.md', Object.keys(PUBLISH_SPEC)],
    ['guide/subscribing.md', Object.keys(SUBSCRIBE_SPEC)],
    ['guide/streams.md', Object.keys(RECEIVE_SPEC)],
    ['guide/requests.md', [...Object.keys(REQUEST_SPEC), ...Object.keys(RESPOND_SPEC)]],
    ['guide/events.md', [...EVENT_NAMES, ...Object.keys(newStats())]],
  ];
  it.each(lists)('%s', (page, names) => {
    const text = read(page);
    expect([...names].filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });

  it('guide/errors.md', () => {
    const rows = new Map(
      [...read('guide/errors.md').matchAll(/^\| `(\w+)` +\| `(\w+)` +\| (\S+)/gm)].map((row) => [
        row[1],
        row,
      ]),
    );
    for (const [name, value] of Object.entries(core)) {
      if (typeof value !== 'function' || !(value.prototype instanceof BusError)) continue;
      const error = new (value as new (...args: unknown[]) => BusError)('text', [], {});
      expect(rows.get(name)?.[2], name).toBe(error.code);
      if (/^(yes|no)$/.test(rows.get(name)![3]!))
        expect(rows.get(name)![3], name).toBe(error.retryable ? 'yes' : 'no');
      rows.delete(name);
    }
    expect([...rows.keys()]).toEqual([]);
  });

  it('wire-format.md', async () => {
    await using test = await createTestBus();
    await test.bus.publish('t', {});
    const text = {
      id: '',
      source: '',
      type: '',
      dataSchema: '',
      key: '',
      correlationId: '',
      causationId: '',
    };
    const more = { traceparent: '', tracestate: '', contentEncoding: '', replyTo: '', deduplicationKey: '' };
    const times = { expiresAt: 0, deliverAt: 0, priority: 1 } as const;
    const strings = { retry: '', target: '', deadLetter: '', error: '', responder: '' };
    const extensions = { delivery: 'exactly-once', ...strings } as const;
    const record = { ...test.hub.records('t')[0]!, ...text, ...more, ...times, extensions };
    const page = read('wire-format.md');
    const attributes = Object.keys(toHeaders(record, { prefix: '', contentType: 'content-type' }));
    expect(attributes.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
    expect(attributes.length).toBeGreaterThan(20);
  });
});

describe('included code', () => {
  const included = all.flatMap((page) =>
    [...read(page).matchAll(/^<<< @\/(\S+?)(?:#(\S+?))?(?:\{.*\})?$/gm)].map((match) => ({
      page,
      file: match[1]!,
      region: match[2] ?? '',
    })),
  );

  it.each(included)('$page: $file#$region', ({ file, region }) => {
    const text = read(file);
    if (region === '') return;
    expect(text).toContain(`// #region ${region}\n`);
    expect(text).toContain(`// #endregion ${region}\n`);
  });

  it('is all that there is', () => {
    const files = readdirSync(join(import.meta.dirname, 'examples')).map((name) => `examples/${name}`);
    const shown = new Set(included.map(({ file }) => file));
    const hidden = files.filter(
      (file) => /\.(ts|txt)$/.test(file) && !file.endsWith('.test.ts') && !shown.has(file),
    );
    expect(hidden).toEqual([]);
  });
});

describe('links', () => {
  const root = join(import.meta.dirname, '..');
  const others = [
    'README.md',
    'CONTRIBUTING.md',
    'packages/core/README.md',
    'packages/conformance/README.md',
  ];
  const files = [...others, ...all.map((page) => `docs/${page}`)];
  const slug = (heading: string): string =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s+/g, '-');

  // VitePress looks for the pages; the places in them, and what is read on GitHub, are looked for here.
  it.each(files)('%s', (file) => {
    const broken: string[] = [];
    const text = readFileSync(join(root, file), 'utf8').replace(/```.*?```/gs, '');
    for (const [, link = ''] of text.matchAll(/\]\(([^)]+)\)/g)) {
      // Made by `pnpm run conformance`.
      if (/^https?:/.test(link) || link === '../conformance') continue;
      const [path = '', place] = link.split('#');
      const base = path === '' ? join(root, file) : join(root, file, '..', path);
      const target = [base, `${base}.md`, join(base, 'index.md')].find(
        (one) => existsSync(one) && statSync(one).isFile(),
      );
      if (target === undefined && !existsSync(base)) broken.push(link);
      if (place === undefined || target === undefined) continue;
      const headings = readFileSync(target, 'utf8').matchAll(/^#+ (.+)$/gm);
      if (![...headings].some(([, heading]) => slug(heading!) === place)) broken.push(link);
    }
    expect(broken).toEqual([]);
  });
});

it('keeps pages short', () => {
  const long = all.filter((page) => page !== 'conformance.md' && read(page).split('\n').length > 150);
  expect(long).toEqual([]);
});

it('names files that are there where it says where each guarantee lives', () => {
  const named = [...read('internals.md').matchAll(/`([a-z-]+\/)?([a-z-]+\.ts)`/g)].map(
    ([, folder = '', file]) => folder + file,
  );
  const missing = named.filter(
    (file) => !existsSync(join(import.meta.dirname, '../packages/core/src', file)),
  );
  expect(named.length).toBeGreaterThan(20);
  expect(missing).toEqual([]);
});
