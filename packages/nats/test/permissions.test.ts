import { type Bus, type BusOptions, ConfigError, createBus } from '@ambus/core';
import { type NatsUser, type Server, startServer } from '@ambus/testing';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nats } from '../src/index.ts';
import { CREATING, RESTRICTED } from './support/setup.ts';

const PASSWORD = 'a-password-of-its-own';
const everythingBut = (kind: 'publish' | 'subscribe', ...deny: string[]): NatsUser => ({
  user: `no-${kind}-${deny[0]!.replaceAll(/[^a-zA-Z]/g, '')}`,
  password: PASSWORD,
  permissions: { [kind]: { deny } },
});

/** The account of the README, with what it says that a subscription without a group needs. */
const LISTENER: NatsUser = {
  user: 'listener',
  password: PASSWORD,
  permissions: {
    ...RESTRICTED.permissions,
    publish: {
      allow: [
        ...(RESTRICTED.permissions as { publish: { allow: string[] } }).publish.allow,
        '$JS.API.CONSUMER.CREATE.*.*',
        '$JS.API.CONSUMER.DELETE.*.*',
      ],
    },
  },
};

const USERS = {
  listener: LISTENER,
  mute: everythingBut('publish', '*.e.>'),
  deaf: everythingBut('subscribe', '*.e.>'),
  unasked: everythingBut('subscribe', '*.q.>'),
  unheard: everythingBut('publish', '*.q.>'),
  storeless: everythingBut('publish', '*.t.>'),
  unanswered: everythingBut('subscribe', '_INBOX.>'),
  fetchless: everythingBut('publish', '$JS.API.CONSUMER.MSG.NEXT.>'),
};

let server: Server;
beforeAll(async () => {
  server = await startServer('nats', {
    auth: 'user',
    users: [RESTRICTED, CREATING, ...Object.values(USERS)],
    quiet: true,
  });
});
afterAll(() => server.close());

/** Long enough that nothing which takes it can be taken for quick. */
const PUBLISH_TIMEOUT = 20_000;

const busAs = ({ user, password }: NatsUser, more: Partial<BusOptions> = {}): Promise<Bus> =>
  createBus({
    broker: nats({ url: `nats://127.0.0.1:${server.port}`, user, password }),
    topics: { 'e.#': { durability: 'ephemeral' } },
    publishTimeout: PUBLISH_TIMEOUT,
    ...more,
  });

const owner = (): Promise<Bus> => {
  const { user = '', password = '' } = server.credentials;
  return busAs({ user, password });
};

async function refused(work: Promise<unknown>, subject: string): Promise<void> {
  const start = Date.now();
  const error = await work.then(
    () => expect.unreachable('it resolved'),
    (reason: unknown) => reason as Error,
  );
  expect(ConfigError.is(error), String(error)).toBe(true);
  expect(error.message).toContain(subject);
  expect(Date.now() - start).toBeLessThan(PUBLISH_TIMEOUT / 4);
}

describe('an account that may not', () => {
  it('publish to ephemeral topics hears of it from the publish', async () => {
    await using bus = await busAs(USERS.mute);
    await refused(bus.publish('e.a', 1), 'ambus.e.e.a');
    await bus.publish('durable', 1);
  });

  it('subscribe to ephemeral topics hears of it from the subscription', async () => {
    await using bus = await busAs(USERS.deaf);
    await refused(
      bus.subscribe('e.a', () => {}),
      'ambus.e.e.a',
    );
    await refused(
      bus.subscribe('e.#', () => {}, { group: 'g' }),
      'ambus.e.e',
    );
  });

  it('take or send requests hears of it from respond and request', async () => {
    await using responder = await busAs(USERS.unasked);
    await refused(
      responder.respond('q', () => 1),
      'ambus.q.q',
    );
    await using requester = await busAs(USERS.unheard);
    await refused(requester.request('q', 1, { timeout: PUBLISH_TIMEOUT }), 'ambus.q.q');
  });

  it('publish to durable topics, or receive answers, hears of it at once', async () => {
    await using storeless = await busAs(USERS.storeless);
    await refused(storeless.publish('a', 1), 'ambus.t.n.a');
    await refused(storeless.publish('a', 1, { key: 'k' }), 'ambus.t.k');
    await using unanswered = await busAs(USERS.unanswered);
    await refused(unanswered.publish('a', 1), '_INBOX');
    await refused(
      unanswered.subscribe('a', () => {}, { group: 'g' }),
      '_INBOX',
    );
  });

  it('fetch messages sees its subscription end', async () => {
    await using bus = await busAs(USERS.fetchless);
    const ended = Promise.withResolvers<unknown>();
    bus.on('subscription.failed', ({ error }) => ended.resolve(error));
    await bus.subscribe('f', () => {}, { group: 'g' });
    expect(ConfigError.is(await ended.promise)).toBe(true);
  });
});

it('has consumers for all classes of a group that was made for it', async () => {
  await using made = await owner();
  await made.admin.ensureGroup('n.m', 'g', 'new');
  await using bus = await busAs(RESTRICTED, { provision: 'none' });
  const got: unknown[] = [];
  await bus.subscribe('n.m', ({ data }) => void got.push(data), { group: 'g' });
  await bus.publish('n.m', 'keyed', { key: 'k' });
  await bus.publish('n.m', 'urgent', { priority: 'critical' });
  await bus.publish('n.m', 'late', { delay: 300, key: 'k' });
  await expect.poll(() => got.toSorted(), { timeout: 10_000 }).toEqual(['keyed', 'late', 'urgent']);
});

it('makes, uses and removes everything with what the README adds for that', async () => {
  await using bus = await busAs(CREATING, { prefix: 'making' });
  const warnings: unknown[] = [];
  bus.on('warning', (event) => warnings.push(event));
  const got: unknown[] = [];
  let failures = 0;
  await bus.subscribe(
    'made.*',
    ({ data }) => {
      if (data === 'retried' && failures++ === 0) throw new Error('once');
      got.push(data);
    },
    { group: 'g', retry: { initialDelay: 10 } },
  );
  await bus.subscribe('made.#', ({ data }) => void got.push(`live ${data}`));
  await bus.publish('made.a', 'plain');
  await bus.publish('made.a', 'keyed', { key: 'k' });
  await bus.publish('made.a', 'urgent', { priority: 'critical' });
  await bus.publish('made.a', 'delayed', { delay: 50 });
  await bus.publish('made.a', 'retried');
  const names = ['plain', 'keyed', 'urgent', 'delayed', 'retried'];
  await expect
    .poll(() => names.every((name) => got.includes(name) && got.includes(`live ${name}`)))
    .toBe(true);
  expect(await bus.cancel(await bus.publish('made.a', 'never', { delay: 60_000 }))).toBe(true);
  await expect.poll(async () => (await bus.admin.group('made.*', 'g'))?.depth).toBe(0);
  expect((await bus.admin.listTopics()).map(({ topic }) => topic)).toEqual(['made.a']);
  expect(await bus.admin.purge('made.a')).toBeGreaterThan(0);
  expect(await bus.admin.deleteGroup('made.*', 'g')).toBe(true);
  expect(await bus.admin.deleteTopic('made.a')).toBe(true);
  expect(warnings).toEqual([]);
});

it('warns of messages whose consumer it may not make', async () => {
  await using made = await owner();
  // A member makes the consumers of classes only when there is something in them.
  await (await made.subscribe('w', () => {}, { group: 'g' })).unsubscribe();
  const warnings: string[] = [];
  const ignore = (): void => {};
  const logger = {
    debug: ignore,
    info: ignore,
    error: ignore,
    warn: (_: object, message: string) => void warnings.push(message),
  };
  await using bus = await busAs(RESTRICTED, { provision: 'none', logger });
  await bus.subscribe('w', () => {}, { group: 'g' });
  await bus.publish('w', 'keyed', { key: 'k' });
  await expect.poll(() => warnings.join(), { timeout: 10_000 }).toContain('ensureGroup');
});

it('says what an account lacks for a subscription without a group', async () => {
  await using made = await owner();
  await made.publish('live', 1);
  await using bus = await busAs(RESTRICTED, { provision: 'none' });
  await refused(
    bus.subscribe('live', () => {}),
    '$JS.API.CONSUMER.CREATE',
  );
  await using listener = await busAs(LISTENER, { provision: 'none' });
  const got: unknown[] = [];
  const live = await listener.subscribe('live', ({ data }) => void got.push(data), { from: 'earliest' });
  await expect.poll(() => got).toEqual([1]);
  await live.unsubscribe();
  const client = made.native() as NatsConnection;
  const consumers = await (await client.jetstreamManager()).consumers.list('ambus').next();
  expect(consumers.map(({ name }) => name).filter((name) => name.startsWith('live-'))).toEqual([]);
});

it('refuses a group where there is no stream, and may look at nothing', async () => {
  await using bus = await busAs(RESTRICTED, { provision: 'none', prefix: 'nothing' });
  await refused(
    bus.subscribe('a', () => {}, { group: 'g' }),
    'stream "nothing"',
  );
  await refused(bus.publish('a', 1), 'stream "nothing"');
});

it('ends a subscription whose group is missing, or deleted', async () => {
  await using made = await owner();
  await made.publish('ended', 1);
  await using bus = await busAs(RESTRICTED, { provision: 'none', logger: false });
  const failed: string[] = [];
  bus.on('subscription.failed', ({ error }) => failed.push(error.message));
  await bus.subscribe('ended', () => {}, { group: 'missing' });
  await expect.poll(() => failed.join()).toContain('group "missing" on "ended"');
  await made.admin.ensureGroup('ended', 'deleted', 'new');
  const got: unknown[] = [];
  await bus.subscribe('ended', ({ data }) => void got.push(data), { group: 'deleted' });
  await made.publish('ended', 2);
  await expect.poll(() => got).toEqual([2]);
  expect(failed).toHaveLength(1);
  await made.admin.deleteGroup('ended', 'deleted');
  await expect.poll(() => failed[1], { timeout: 5_000 }).toContain('group "deleted" on "ended"');
});

it('leaves nothing of what it gave back', async () => {
  await using made = await owner();
  await made.admin.ensureGroup('back', 'g', 'new');
  for (let n = 0; n < 5; n++) await made.publish('back', n);
  const notes = async (): Promise<number> => {
    const { streams } = await (made.native() as NatsConnection).jetstreamManager();
    const { state } = await streams.info('ambus', { subjects_filter: 'ambus.m.released.>' });
    return Object.keys(state.subjects ?? {}).length;
  };
  await using bus = await busAs(RESTRICTED, { provision: 'none' });
  const got: number[] = [];
  const started = Promise.withResolvers<void>();
  const subscribe = () =>
    bus.subscribe(
      'back',
      async ({ attempt }) => {
        got.push(attempt);
        if (got.length === 1) await started.promise;
      },
      { group: 'g', concurrency: 1 },
    );
  const first = await subscribe();
  await expect.poll(() => got.length).toBe(1);
  const closed = first.unsubscribe();
  await expect.poll(notes).toBe(4);
  started.resolve();
  await closed;
  await subscribe();
  await expect.poll(() => got).toEqual([1, 1, 1, 1, 1]);
  await expect.poll(notes, { timeout: 5_000 }).toBe(0);
});

it('hands out a delayed message once where it may not remove it', async () => {
  await using old = await startServer('nats', {
    auth: 'user',
    users: [RESTRICTED],
    version: '2.11',
    quiet: true,
  });
  const { user = '', password = '' } = old.credentials;
  const url = `nats://127.0.0.1:${old.port}`;
  await using made = await createBus({ broker: nats({ url, user, password }) });
  await (await made.subscribe('later', () => {}, { group: 'g' })).unsubscribe();
  await made.close();
  await using bus = await createBus({
    broker: nats({ url, user: RESTRICTED.user, password: RESTRICTED.password }),
    provision: 'none',
  });
  const got: unknown[] = [];
  await bus.subscribe('later', ({ data }) => void got.push(data), { group: 'g' });
  await bus.publish('later', 'late', { delay: 200 });
  await expect.poll(() => got, { timeout: 5_000 }).toEqual(['late']);
  const client = await connect({ servers: `127.0.0.1:${old.port}`, user, pass: password });
  const { consumers } = await client.jetstreamManager();
  const held = async () => (await consumers.info('ambus', 'delays')).num_ack_pending;
  await expect.poll(held, { timeout: 5_000 }).toBe(0);
  await client.close();
});
