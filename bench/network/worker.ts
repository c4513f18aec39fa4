// One of the two processes of a contestant: `node worker.ts <module> <url>`. Does what its parent asks for.
import { type Consuming, type Contestant, PAYLOADS, type Session, type Size } from './contestant.ts';

/** Milliseconds since the epoch, finer than `Date.now()`; one machine, so both processes read the same clock. */
const now = (): number => performance.timeOrigin + performance.now();
const sleep = (time: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, time));

export type Command =
  | { readonly do: 'prepare'; readonly topic: string }
  | {
      readonly do: 'publish';
      readonly way: Way;
      readonly topic: string;
      readonly size: Size;
      readonly count: number;
      readonly window: number;
    }
  /** Resolves when all members of the group are there, to when they were told to come. */
  | { readonly do: 'consume'; readonly way: Way; readonly topic: string; readonly members?: number }
  /** One of them goes. Resolves when it is gone, to when it was told to go. */
  | { readonly do: 'leave' }
  /** Resolves when so many are done, to when that was. */
  | { readonly do: 'await'; readonly count: number }
  | { readonly do: 'respond'; readonly topic: string }
  | {
      readonly do: 'ask';
      readonly topic: string;
      readonly size: Size;
      readonly count: number;
      readonly window: number;
    }
  /** Publishes at a steady rate, each with the time at which it was published. */
  | { readonly do: 'tick'; readonly topic: string; readonly count: number; readonly every: number }
  /** Asks one after the other; resolves to the time of each. */
  | { readonly do: 'ask-singly'; readonly topic: string; readonly count: number }
  /** Milliseconds between publishing and handling of each tick. */
  | { readonly do: 'latencies' }
  | { readonly do: 'memory' }
  | { readonly do: 'stop' }
  | { readonly do: 'close' };
export type Way = 'durable' | 'ephemeral';

const [, , module, url] = process.argv;
const { contestant } = (await import(module!)) as { contestant: Contestant };
const session: Session = await contestant.open(url!);

let consuming: Consuming | undefined;
let responding: { stop(): Promise<void> } | undefined;
let latencies: number[] = [];

async function publish(
  command: Extract<Command, { do: 'publish' }>,
): Promise<{ start: number; end: number }> {
  const { way, topic, size, count, window } = command;
  const batch = new Array<object>(window).fill(PAYLOADS[size]);
  const start = now();
  for (let sent = 0; sent < count; sent += window) await session[way]!.publish(topic, batch);
  return { start, end: now() };
}

async function ask({
  topic,
  size,
  count,
  window,
}: Extract<Command, { do: 'ask' }>): Promise<{ start: number; end: number }> {
  const payload = PAYLOADS[size];
  const start = now();
  let left = count;
  const asker = async (): Promise<void> => {
    while (left-- > 0) await session.requests!.ask(topic, payload);
  };
  await Promise.all(Array.from({ length: window }, asker));
  return { start, end: now() };
}

async function carryOut(command: Command): Promise<unknown> {
  switch (command.do) {
    case 'prepare':
      return session.durable!.prepare(command.topic);
    case 'publish':
      return publish(command);
    case 'consume': {
      latencies = [];
      const start = now();
      const handle = (payload: object): void => {
        const { at } = payload as { at?: number };
        if (at !== undefined) latencies.push(now() - at);
      };
      consuming = await session[command.way]!.consume(command.topic, handle, command.members ?? 1);
      return start;
    }
    case 'leave': {
      const start = now();
      await consuming!.leave!();
      return start;
    }
    case 'await': {
      const deadline = now() + 120_000;
      while (consuming!.done() < command.count) {
        if (now() > deadline) throw new Error(`only ${consuming!.done()} of ${command.count} came`);
        await new Promise(setImmediate);
      }
      return now();
    }
    case 'respond':
      responding = await session.requests!.respond(command.topic);
      return undefined;
    case 'ask':
      return ask(command);
    case 'ask-singly': {
      const times: number[] = [];
      for (let n = 0; n < command.count; n++) {
        const start = now();
        await session.requests!.ask(command.topic, PAYLOADS['100 B']);
        times.push(now() - start);
        await sleep(2);
      }
      return times;
    }
    case 'tick': {
      const waiting: Promise<void>[] = [];
      const start = now();
      for (let n = 0; n < command.count; n++) {
        const due = start + n * command.every;
        if (due > now()) await sleep(due - now());
        waiting.push(session.durable!.publish(command.topic, [{ ...PAYLOADS['100 B'], at: now() }]));
      }
      await Promise.all(waiting);
      return undefined;
    }
    case 'latencies':
      return latencies;
    case 'memory':
      globalThis.gc?.();
      return process.memoryUsage().rss;
    case 'stop':
      await consuming?.stop();
      await responding?.stop();
      consuming = undefined;
      responding = undefined;
      return undefined;
    case 'close':
      await session.close();
      setImmediate(() => process.exit(0));
      return undefined;
  }
}

process.on('message', ({ call, command }: { call: number; command: Command }) => {
  carryOut(command).then(
    (result) => process.send!({ call, result }),
    (error: unknown) => process.send!({ call, error: (error as Error).stack ?? String(error) }),
  );
});
process.on('disconnect', () => process.exit(1));
process.send!({
  offers: (['durable', 'ephemeral', 'requests'] as const).filter((what) => session[what] !== undefined),
});
