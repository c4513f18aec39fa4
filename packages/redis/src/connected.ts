import type { BrokerHost } from '@ambus/core';
import { Ears } from './channels/ears.ts';
import type { ChannelSubscription } from './channels/subscription.ts';
import type { Context, Membership } from './context.ts';
import { Session } from './driver/session.ts';
import { Inspector } from './inspect.ts';
import { Keeper } from './keeper.ts';
import { names } from './keys.ts';
import type { Settings } from './options.ts';
import { Publisher } from './publish/publisher.ts';
import { SCRIPTS } from './scripts/index.ts';

/** Milliseconds in which several signs of one loss are one loss. */
const ONE_LOSS = 10_000;

/** Milliseconds that the server gets to answer when the broker leaves. */
const LAST_WORDS = 250;

/** Everything that a connected broker has. */
export interface Connected {
  readonly context: Context;
  readonly publisher: Publisher;
  readonly listeners: Set<ChannelSubscription>;
  /** Connections that wait for messages. */
  readers: number;
  close(): void;
  /** As `close`, after what is left on the server was removed, if it answers. */
  leave(): Promise<void>;
}

export async function connect(host: BrokerHost, settings: Settings): Promise<Connected> {
  const members = new Set<Membership>();
  const listeners = new Set<ChannelSubscription>();
  const session = new Session(settings.target, `${host.source}:${host.busId}`, Object.values(SCRIPTS), {
    async restore() {
      await ears.restore();
      await Promise.all([
        // Done again by the clock.
        keeper.renewListeners().catch(() => {}),
        ...Array.from(members, (member) => member.restore()),
      ]);
    },
    disconnected(error) {
      keeper.stop();
      publisher.interrupt();
      for (const member of members) member.interrupted();
      host.disconnected(error);
    },
    reconnected() {
      // It may be another server.
      inspector.watch(session.client!).catch(() => {});
      publisher.resume();
      keeper.start();
      for (const member of members) member.poll();
      host.reconnected();
    },
    deafened() {
      warnOnce(
        'the server closed the connection that listens, and that one alone, as it does when more waits on it than client-output-buffer-limit allows for pubsub: what was on its way is lost',
        { limit: inspector.pubsubLimit ?? 'unknown' },
      );
    },
  });
  const warned = new Set<string>();
  const warnOnce: BrokerHost['warning'] = (message, details) => {
    if (!warned.has(message)) host.warning(message, details);
    warned.add(message);
  };
  const ears = new Ears(session, () =>
    warnOnce('a large message that is not stored was gone before it could be fetched', {}),
  );
  const inspector = new Inspector(host);
  let nextMember = 0;
  let lostAt = Number.NEGATIVE_INFINITY;
  const context: Context = {
    host,
    settings,
    names: names(host.prefix, settings.target.db, settings.shards),
    session,
    ears,
    memberLease: Math.floor((settings.lease * 2) / 3),
    nextMember: () => `${host.busId}.${++nextMember}`,
    lostState() {
      const now = performance.now();
      if (now - lostAt < ONE_LOSS) return;
      lostAt = now;
      host.warning('the server has lost its state; groups start anew', { groups: members.size });
      // Responders are in that state, too, and would be unheard of until their next sign of life.
      keeper.renewListeners().catch(() => {});
    },
    members,
  };
  const publisher = new Publisher(
    host,
    context.names,
    {
      session,
      clock: host.clock,
      root: context.names.root,
      busId: host.busId,
      create: host.provision === 'create',
      deduplicationWindow: host.deduplicationWindow,
      trimUnacked: settings.trimUnacked,
    },
    settings.maxMessageBytes,
  );
  const keeper = new Keeper(context, () => listeners);
  const close = (): void => {
    keeper.stop();
    session.close();
    publisher.close();
  };
  try {
    await keeper.open();
    await session.connect(host.connectTimeout);
    await inspector.watch(session.client!);
  } catch (error) {
    close();
    throw error;
  }
  keeper.start();
  const leave = async (): Promise<void> => {
    keeper.stop();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, LAST_WORDS);
    await Promise.race([publisher.forget(), late.promise]);
    clearTimeout(timer);
    close();
  };
  return { context, publisher, listeners, readers: 0, close, leave };
}
