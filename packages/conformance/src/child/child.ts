import { type Bus, type BusOptions, createBus, type SubscribeOptions } from '@ambus/core';

/**
 * The other process of the cases that need one. It does what its parent asks for and tells what happens; the parent kills
 * it, or tells it to close and sees whether it ends by itself.
 */

/** What a parent asks for. */
export type Command =
  | {
      readonly do: 'subscribe';
      readonly topic: string;
      readonly options: Pick<SubscribeOptions, 'group' | 'concurrency' | 'prefetch' | 'delivery'>;
      /** Milliseconds that each handler takes; -1 for ever. */
      readonly takes: number;
    }
  | { readonly do: 'respond'; readonly topic: string; readonly group?: string }
  | { readonly do: 'request'; readonly topic: string; readonly data: unknown }
  | {
      readonly do: 'publish';
      readonly topic: string;
      /** First number of those that are published, one after the other, each told when it is accepted. */
      readonly from: number;
      readonly count: number;
      readonly idempotencyKey?: string;
    }
  /** Subscribes and unsubscribes; returns how many resources of the process were in use before and after. */
  | { readonly do: 'churn'; readonly topic: string; readonly group: string; readonly rounds: number }
  | { readonly do: 'close' };

/** What a child tells. */
export type Report =
  | { readonly is: 'ready' }
  | { readonly is: 'handled'; readonly data: unknown; readonly attempt: number }
  | { readonly is: 'accepted'; readonly number: number }
  | { readonly is: 'result'; readonly call: number; readonly result?: unknown; readonly error?: string };

function tell(report: Report): void {
  process.send?.(report);
}

/** Subscriptions that come and go at a time. */
const LANES = 10;

async function churn(bus: Bus, topic: string, group: string, rounds: number): Promise<unknown> {
  const round = async (n: number): Promise<void> => {
    const subscription = await bus.subscribe(topic, () => {}, n % 2 === 0 ? { group } : {});
    await subscription.unsubscribe();
  };
  const turn = async (count: number): Promise<void> => {
    const lane = async (first: number): Promise<void> => {
      for (let n = first; n < count; n += LANES) await round(n);
    };
    await Promise.all(Array.from({ length: LANES }, (_, first) => lane(first)));
  };
  // What is made once, with the first use, is no leak.
  await turn(LANES);
  const before = process.getActiveResourcesInfo().length;
  await turn(rounds);
  await new Promise((resolve) => setTimeout(resolve, 100));
  return { before, after: process.getActiveResourcesInfo().length };
}

async function carryOut(bus: Bus, command: Command): Promise<unknown> {
  switch (command.do) {
    case 'subscribe': {
      const { takes } = command;
      const handle = async ({ data, attempt }: { data: unknown; attempt: number }): Promise<void> => {
        tell({ is: 'handled', data, attempt });
        if (takes < 0) await new Promise(() => {});
        if (takes > 0) await new Promise((resolve) => setTimeout(resolve, takes));
      };
      await bus.subscribe(command.topic, handle, command.options);
      return undefined;
    }
    case 'respond':
      await bus.respond(command.topic, ({ data }) => ({ answerTo: data }), { group: command.group });
      return undefined;
    case 'request':
      return (await bus.request(command.topic, command.data, { timeout: 10_000 })).data;
    case 'publish': {
      const { idempotencyKey } = command;
      const options =
        idempotencyKey === undefined ? {} : ({ delivery: 'exactly-once', idempotencyKey } as const);
      for (let number = command.from; number < command.from + command.count; number++) {
        await bus.publish(command.topic, number, options);
        tell({ is: 'accepted', number });
      }
      return undefined;
    }
    case 'churn':
      return churn(bus, command.topic, command.group, command.rounds);
    case 'close':
      await bus.close();
      return undefined;
  }
}

/** Serves the parent process over its channel, with a bus of these options. */
export async function serve(options: BusOptions): Promise<void> {
  const bus = await createBus({ ...options, logger: false });
  await bus.connect();
  process.on('message', (message) => {
    const { call, command } = message as { call: number; command: Command };
    carryOut(bus, command).then(
      (result) => {
        // From here on nothing but the bus could keep this process alive.
        if (command.do === 'close') process.channel?.unref();
        tell({ is: 'result', call, result });
      },
      (error: unknown) => tell({ is: 'result', call, error: String(error) }),
    );
  });
  process.on('disconnect', () => process.exit(1));
  tell({ is: 'ready' });
}

// Only as a process of its own: importing this file does nothing.
const [, , options] = process.argv;
if (process.send !== undefined && options?.startsWith('{')) {
  serve(JSON.parse(options) as BusOptions).catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
}
