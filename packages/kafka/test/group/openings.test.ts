import { expect, it } from 'vitest';
import { Writer } from '../../src/driver/bytes.ts';
import type { Request } from '../../src/driver/request.ts';
import { openings } from '../../src/group/openings.ts';
import type { Hub } from '../../src/hub.ts';
import type { Kind } from '../../src/names.ts';

/** @param byTime - what the server says of the first record within the window; -1 where there is none */
async function opening(kind: Kind, committed: number | undefined, byTime: number) {
  const END = 90;
  const hub = {
    cluster: {
      async sendToCoordinator() {
        const one = { topic: 't', partition: 0, offset: committed, metadata: '' };
        return { error: 0, committed: committed === undefined ? [] : [one] };
      },
      async send(_: number, request: Request<unknown>) {
        const to = new Writer();
        request.write(to);
        const end = to.buffer.readBigInt64BE(to.buffer.length - 8) === -1n;
        return [{ topic: 't', partition: 0, error: 0, offset: end ? END : byTime }];
      },
    },
    catalog: { known: () => ({ leaders: [1] }) },
    host: { deduplicationWindow: 60_000 },
  } as unknown as Hub;
  const [one] = await openings(hub, 'g', [{ topic: 't', partition: 0, kind }]);
  return { floor: one!.ledger.floor, start: one!.start, until: one!.until };
}

it('reads a log of delayed records from what is not settled, and what that may repeat', async () => {
  expect(await opening('d', 50, 45)).toEqual({ floor: 50, start: 45, until: 0 });
  expect(await opening('d', 50, 70)).toEqual({ floor: 50, start: 50, until: 0 });
  expect(await opening('d', 50, -1)).toEqual({ floor: 50, start: 50, until: 0 });
  expect(await opening('d', undefined, 70)).toEqual({ floor: 0, start: 0, until: 0 });
});

it('reads others from where the group is', async () => {
  expect(await opening('main', 50, 45)).toEqual({ floor: 50, start: 50, until: 0 });
  expect(await opening('x', 50, 45)).toEqual({ floor: 50, start: 45, until: 0 });
});

it('knows where the log of retries ends', async () => {
  expect(await opening('q', 50, 45)).toEqual({ floor: 50, start: 50, until: 90 });
});
