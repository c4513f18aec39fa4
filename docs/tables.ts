// Writes the tables that are made from the brokers' own data into the pages:
//
//   node --conditions=@ambus/source docs/tables.ts
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Broker, Capabilities, Feature, Limits } from '@ambus/core';
import { kafka } from '@ambus/kafka';
import { memory } from '@ambus/memory';
import { nats } from '@ambus/nats';
import { redis } from '@ambus/redis';

/** One of each broker, as it is without options. */
const BROKERS: readonly Broker[] = [memory(), redis(), nats(), kafka()];

/** In the words of a reader; a feature that is missing here does not compile. */
const FEATURES: Readonly<Record<Feature, string>> = {
  durable: 'durable topics and groups',
  ephemeral: 'ephemeral topics',
  wildcards: 'patterns',
  replay: "`from: 'earliest'`",
  replayFromDate: '`from: Date`',
  delay: 'delayed publish',
  cancel: 'cancelling it',
  retryDelay: 'retries wait on the server',
  priority: 'priorities',
  keyOrder: 'order per key across members',
  deduplication: 'exactly once by key',
  transactions: "a handler's publishes with its ack",
  expiry: 'expiry on the server',
  request: 'requests',
  noResponders: 'no responder is known at once',
  leases: "a dead consumer's messages go to others",
  browse: 'browsing, so dead letters',
  admin: 'admin',
};

const LIMITS: Readonly<Record<keyof Limits, readonly [text: string, unit: string]>> = {
  maxBodyBytes: ['largest body', 'bytes'],
  maxHeaderBytes: ["the application's headers together", 'bytes'],
  maxNativeDelay: ['longest delay that the server itself holds', 'ms'],
  maxBatch: ['records in one publish call', ''],
  lease: ["a dead consumer's messages go to others after", 'ms'],
};

/** Rows of equal width, as the formatter wants them. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(3, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  const [head, ...body] = rows;
  return [line(head!), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}

function features(
  brokers: readonly { readonly name: string; readonly capabilities: Capabilities }[],
): string {
  const rows = Object.entries(FEATURES).map(([feature, text]) => [
    text,
    `\`${feature}\``,
    ...brokers.map(({ capabilities }) => capabilities[feature as Feature]),
  ]);
  return table([['feature', '`capabilities`', ...brokers.map(({ name }) => name)], ...rows]);
}

function limits({ capabilities }: Broker): string {
  const rows = Object.entries(LIMITS).map(([name, [text, unit]]) => {
    const value = capabilities.limits[name as keyof Limits];
    const shown = value === Number.POSITIVE_INFINITY ? 'no limit' : `${value.toLocaleString('en')} ${unit}`;
    return [text, `\`${name}\``, shown.trim()];
  });
  return table([['limit', '`capabilities.limits`', 'by default'], ...rows]);
}

/** Every generated part: where it goes, and what it says. */
const PARTS: readonly { readonly page: string; readonly part: string; readonly text: () => string }[] = [
  { page: '../README.md', part: 'capabilities', text: () => features(BROKERS) },
  { page: 'brokers/index.md', part: 'capabilities', text: () => features(BROKERS) },
  ...BROKERS.flatMap((broker) => {
    const page = `brokers/${broker.name}.md`;
    const readme = `../packages/${broker.name}/README.md`;
    return [
      { page, part: 'capabilities', text: () => features([broker]) },
      { page: readme, part: 'capabilities', text: () => features([broker]) },
      { page, part: 'limits', text: () => limits(broker) },
    ];
  }),
];

/** Each page with its generated parts, as it is and as it should be. */
export function pages(): readonly { readonly file: string; readonly is: string; readonly should: string }[] {
  return [...new Set(PARTS.map(({ page }) => page))].map((page) => {
    const file = join(import.meta.dirname, page);
    const is = readFileSync(file, 'utf8');
    const should = PARTS.filter((part) => part.page === page).reduce((text, { part, text: make }) => {
      const between = new RegExp(`(?<=<!-- ${part} -->\n).*?(?=<!-- /${part} -->)`, 's');
      if (!between.test(text)) throw new Error(`${page} has no place for "${part}"`);
      return text.replace(between, `\n${make()}\n\n`);
    }, is);
    return { file, is, should };
  });
}

if (import.meta.main) {
  for (const { file, should } of pages()) writeFileSync(file, should);
}
