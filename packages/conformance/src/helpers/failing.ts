import type { Bus, Message, RetryOptions, SubscribeOptions } from '@ambus/core';
import type { CaseContext } from '../context.ts';

/** One run of a handler. */
export interface Run {
  readonly data: unknown;
  readonly attempt: number;
  /** When it began, by the machine's clock. */
  readonly at: number;
}

/** What a failing consumer left behind. */
export interface Failures {
  readonly runs: Run[];
  /** The delays that were asked for, as the events say. */
  readonly delays: number[];
}

/**
 * Subscribes a group with a handler that fails with what `error` returns, and succeeds where that is undefined.
 *
 * @param retry - the subscription's own policy; left out: the bus's
 */
export async function failing(
  t: CaseContext,
  bus: Bus,
  topic: string,
  error: (message: Message) => unknown,
  retry?: RetryOptions | false,
  options: Omit<SubscribeOptions, 'ack'> = {},
): Promise<Failures> {
  const runs: Run[] = [];
  const delays: number[] = [];
  bus.on('message.retried', (event) => {
    if (event.topic === topic) delays.push(event.delay);
  });
  await bus.subscribe(
    topic,
    (message) => {
      const { data, attempt } = message;
      runs.push({ data, attempt, at: Date.now() });
      const thrown = error(message);
      if (thrown !== undefined) throw thrown;
    },
    { group: t.name(), retry, ...options },
  );
  return { runs, delays };
}

/** An error with a name of its own, and fields. */
export function errorNamed(name: string, fields: object = {}): Error {
  return Object.assign(new Error(`a ${name}`), { name, ...fields });
}

/** Milliseconds between the runs. */
export function gaps(runs: readonly Run[]): number[] {
  return runs.slice(1).map(({ at }, index) => at - runs[index]!.at);
}
