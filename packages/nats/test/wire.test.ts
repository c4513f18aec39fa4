import { createBus } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import { connect, headers, type Msg, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nats } from '../src/index.ts';
import { fewSubjectsOf, matchMore, subjectsOf } from '../src/names.ts';
import { placeOf } from '../src/wire/place.ts';

let server: Server;
let raw: NatsConnection;
beforeAll(async () => {
  server = await startServer('nats', { quiet: true });
  raw = await connect({ servers: `127.0.0.1:${server.port}` });
});
afterAll(async () => {
  await raw.close();
  await server.close();
});

const makeBus = () => createBus({ broker: nats({ url: server.url }), source: 'shop' });

/** What passes on the subjects of a topic while `act` runs. */
async function seen(subject: string, act: () => Promise<unknown>): Promise<Msg[]> {
  const messages: Msg[] = [];
  const subscription = raw.subscribe(subject, { callback: (_, message) => void messages.push(message) });
  await raw.flush();
  await act();
  await raw.flush();
  subscription.unsubscribe();
  return messages;
}

describe('the subject', () => {
  it('is of the plain class, a priority or a lane of keys', async () => {
    await using bus = await makeBus();
    const messages = await seen('ambus.t.>', async () => {
      await bus.publish('a.b', 1);
      await bus.publish('a.b', 1, { priority: 'critical' });
      await bus.publish('a.b', 1, { key: 'tenant-7', priority: 'critical' });
    });
    // CRC-32 of "tenant-7" is 0x128cacca.
    expect(messages.map(({ subject }) => subject)).toEqual([
      'ambus.t.n.a.b',
      'ambus.t.0.a.b',
      'ambus.t.k2.a.b',
    ]);
  });

  it('is another where nothing is stored', async () => {
    await using bus = await createBus({
      broker: nats({ url: server.url }),
      topics: { 'e.#': { durability: 'ephemeral' } },
    });
    await bus.respond('q.x', () => 1);
    const messages = await seen('ambus.*.*.x', async () => {
      await bus.publish('e.x', 1);
      await bus.request('q.x', 1);
    });
    expect(messages.map(({ subject }) => subject)).toEqual(['ambus.e.e.x', 'ambus.q.q.x']);
  });
});

describe('the headers', () => {
  it('are those of CloudEvents, and the body is nothing but the payload', async () => {
    await using bus = await makeBus();
    const [message] = await seen('ambus.t.>', () =>
      bus.publish(
        'a',
        { id: 42 },
        { id: 'one', headers: { plain: 'ä', 'ce-id': 'mine', 'Nats-Msg-Id': 'x' } },
      ),
    );
    const written = Object.fromEntries(
      message!.headers!.keys().map((name) => [name, message!.headers!.get(name)]),
    );
    expect(written).toMatchObject({
      'ce-specversion': '1.0',
      'ce-id': 'one',
      'ce-source': 'shop',
      'ce-type': 'a',
      'content-type': 'application/json',
      plain: 'ä',
      'ambus_ce-id': 'mine',
      '%4Eats-Msg-Id': 'x',
    });
    expect(message!.string()).toBe('{"id":42}');
  });

  it('mark a value that NATS cannot carry', async () => {
    await using bus = await makeBus();
    const [message] = await seen('ambus.t.>', () => bus.publish('a', 1, { headers: { odd: 'a\r\nb ' } }));
    expect(message!.headers!.get('odd*')).toBe("UTF-8''a%0D%0Ab%20");
  });

  it('of other producers are read, and left out is what is the server’s', async () => {
    await using bus = await makeBus();
    const came = Promise.withResolvers<{ id: string; headers: object; data: unknown }>();
    await bus.subscribe('foreign', (message) => came.resolve(message), { group: 'g' });
    const head = headers();
    head.set('ce-id', 'theirs');
    head.set('content-type', 'application/json');
    head.set('Nats-Msg-Id', 'once');
    head.set('own', '100%');
    await raw.jetstream().publish('ambus.t.n.foreign', '{"n":1}', { headers: head });
    const { id, headers: own, data } = await came.promise;
    expect([id, { ...own }, data]).toEqual(['theirs', { own: '100%' }, { n: 1 }]);
  });
});

it('reads both forms of a delivery’s place', () => {
  const place = { delivered: 2, seq: 17, delivery: 5, time: 1_795_236_358_331, pending: 3 };
  expect(placeOf('$JS.ACK.ambus.workers-1.2.17.5.1795236358331378154.3')).toEqual(place);
  expect(placeOf('$JS.ACK.hub.AB12.ambus.workers-1.2.17.5.1795236358331378154.3.x7')).toEqual(place);
});

it('turns patterns into subjects that do not overlap', () => {
  expect(subjectsOf('a.*.c')).toEqual(['a.*.c']);
  expect(subjectsOf('a.#')).toEqual(['a', 'a.>']);
  expect(subjectsOf('#')).toEqual(['>']);
  expect(subjectsOf('#.b').slice(0, 3)).toEqual(['b', '*.b', '*.*.b']);
  expect(subjectsOf('#.b')).toHaveLength(16);
  expect(subjectsOf('a.#.b.#')).toEqual(['a.>']);
  expect(subjectsOf('a.#.#')).toEqual(['a', 'a.>']);
});

it.each([
  ['a.*.c', ['a.*.c'], false],
  ['a.#', ['a', 'a.>'], false],
  ['#.#', ['>'], false],
  ['#.b', ['>'], true],
  ['a.#.b', ['a.>'], true],
  ['a.#.b.#', ['a.>'], true],
])('covers %s by few subjects', (pattern, subjects, areMore) => {
  expect(fewSubjectsOf(pattern)).toEqual(subjects);
  expect(matchMore(subjects, pattern)).toBe(areMore);
});
