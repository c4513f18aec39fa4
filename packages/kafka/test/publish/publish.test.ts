import { setTimeout } from 'node:timers/promises';
import { type BusRecord, fromHeaders } from '@ambus/core';
import { expect, it } from 'vitest';
import type { Hub } from '../../src/hub.ts';
import { type Kind, Names } from '../../src/names.ts';
import type { PublishCall } from '../../src/publish/call.ts';
import { publish } from '../../src/publish/publish.ts';
import { STYLE } from '../../src/wire/record.ts';

const delayed = (id: string, delay: number): BusRecord => ({
  ...fromHeaders({}, Buffer.from(id), { topic: 't', channel: 'durable', id, time: Date.now() }, STYLE),
  deliverAt: Date.now() + delay,
});

it('keeps each message in the topic that it waits for, also when it is due meanwhile', async () => {
  const names = new Names('ambus');
  const place = (topic: string, kind: Kind): string => names.place(names.base(topic), kind);
  const stored: string[] = [];
  const hub = {
    settings: { maxMessageBytes: 1_000 },
    host: { scheduled() {} },
    queued: new Map([[place('t', 'd'), setTimeout(30)]]),
    catalog: { known: () => undefined },
    names,
    place,
    topic: async (topic: string, kind: Kind) => ({ name: place(topic, kind), leaders: [1], used: false }),
    publisher: {
      add(topic: string, _: number, __: string, ___: object, call: PublishCall, index: number) {
        stored.push(topic);
        call.accepted(index);
      },
      flush() {},
    },
  } as unknown as Hub;
  await publish(hub, [delayed('soon', 10), delayed('late', 60_000)], Date.now() + 5_000);
  expect(stored).toEqual(['ambus.t.-d', 'ambus.t.-d']);
});
