import { ConnectionError } from '@ambus/core';
import { expect, it } from 'vitest';
import { Writer } from '../../src/driver/bytes.ts';
import type { Request } from '../../src/driver/request.ts';
import type { Part } from '../../src/feed/part.ts';
import { Cleaner } from '../../src/group/cleaner.ts';
import type { Hub } from '../../src/hub.ts';
import { feedOf } from '../feed/support.ts';

function setup(error = 0) {
  const { part } = feedOf();
  const parts: Part[] = [part({ topic: 'main' }), part({ topic: 'q', kind: 'q' })];
  const sent: number[] = [];
  const warned: string[] = [];
  const state = { commits: true, down: false, surprise: false };
  const hub = {
    catalog: { known: () => ({ leaders: [7] }) },
    cluster: {
      async send(node: number, request: Request<unknown>) {
        if (state.down) throw new ConnectionError('down', { broker: 'kafka' });
        request.write(new Writer());
        sent.push(node);
        return [{ topic: 'q', partition: 0, error }];
      },
    },
    host: { warning: (message: string) => void warned.push(message) },
  } as unknown as Hub;
  const cleaner = new Cleaner(
    hub,
    () => parts,
    async () => {
      if (state.surprise) throw new TypeError('not expected');
      return state.commits;
    },
  );
  return { cleaner, parts, sent, warned, state };
}

it('removes retries up to what is committed, each once', async () => {
  const { cleaner, parts, sent } = setup();
  parts[0]!.ledger.settle(0, 10);
  await cleaner.clean();
  expect(sent).toEqual([]);
  parts[1]!.ledger.settle(0, 3);
  await cleaner.clean();
  await cleaner.clean();
  expect(sent).toEqual([7]);
  parts[1]!.ledger.settle(3);
  await cleaner.clean();
  expect(sent).toEqual([7, 7]);
});

it('removes nothing that is not committed or another member has, and tries again what failed', async () => {
  const { cleaner, parts, sent, state } = setup();
  parts[1]!.ledger.settle(0, 3);
  state.commits = false;
  await cleaner.clean();
  state.commits = true;
  state.down = true;
  await cleaner.clean();
  expect(sent).toEqual([]);
  state.down = false;
  parts[1]!.draining = true;
  await cleaner.clean();
  expect(sent).toEqual([]);
  parts[1]!.draining = false;
  await cleaner.clean();
  expect(sent).toEqual([7]);
});

it('says that it may not', async () => {
  const { cleaner, parts, warned } = setup(29);
  parts[1]!.ledger.settle(0, 3);
  await cleaner.clean();
  expect(warned).toHaveLength(1);
});

it('tells of an error that is none of the bus, and tries again', async () => {
  const { cleaner, parts, sent, warned, state } = setup();
  parts[1]!.ledger.settle(0, 3);
  state.surprise = true;
  await cleaner.clean();
  expect(warned).toHaveLength(1);
  state.surprise = false;
  await cleaner.clean();
  expect(sent).toEqual([7]);
});
