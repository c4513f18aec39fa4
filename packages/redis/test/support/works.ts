import type { Bus } from '@ambus/core';
import { expect } from 'vitest';
import { until } from './world.ts';

let runs = 0;

/**
 * Everything once: groups with and without keys, patterns, live, retries, delays, requests, admin.
 *
 * @param maker - makes topics and groups before, for a bus that may not
 */
export async function works(bus: Bus, maker?: Bus): Promise<void> {
  const all = `all${++runs}`;
  await maker?.admin.ensureTopic(`${all}.a`);
  await maker?.admin.ensureGroup(`${all}.a`, 'g', 'new');
  await maker?.admin.ensureGroup(`${all}.*`, 'g', 'new');
  const got: string[] = [];
  let failed = 0;
  await bus.subscribe<string>(
    `${all}.a`,
    ({ data }) => {
      if (data === 'retried' && failed++ === 0) throw new Error('once');
      got.push(data);
    },
    { group: 'g', retry: { initialDelay: 10 } },
  );
  await bus.subscribe<string>(`${all}.*`, ({ data }) => void got.push(`wide ${data}`), { group: 'g' });
  await bus.subscribe<string>(`${all}.#`, ({ data }) => void got.push(`live ${data}`));
  await bus.respond(`${all}.asked`, ({ data }) => data);
  await bus.publish(`${all}.a`, 'plain');
  await bus.publish(`${all}.a`, 'keyed', { key: 'k' });
  await bus.publish(`${all}.a`, 'urgent', { priority: 'critical' });
  await bus.publish(`${all}.a`, 'delayed', { delay: 50 });
  await bus.publish(`${all}.a`, 'retried');
  expect((await bus.request(`${all}.asked`, 7)).data).toBe(7);
  const names = ['plain', 'keyed', 'urgent', 'delayed', 'retried'];
  const expected = names.flatMap((name) => [name, `wide ${name}`, `live ${name}`]);
  await until(() => expected.every((one) => got.includes(one)));
  await until(async () => (await bus.admin.group(`${all}.a`, 'g'))?.depth === 0);
}
