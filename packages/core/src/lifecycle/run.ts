import type { Bus, RunOptions } from '../bus-types.ts';
import { abortSignal, arrayOf, checkOptions, milliseconds, text } from '../config/check.ts';

/**
 * Connects and waits for a signal of the operating system, then closes the bus. A second signal ends the process the
 * usual way, so a stuck handler does not hold an impatient operator up.
 */
export async function runUntilSignal(bus: Bus, options: RunOptions): Promise<void> {
  checkOptions<RunOptions>('run option', options, {
    signals: arrayOf(text(16)),
    signal: abortSignal,
    timeout: milliseconds(0),
  });
  const { signals = ['SIGINT', 'SIGTERM'], signal, timeout } = options;
  const stop = Promise.withResolvers<void>();
  const stopped = (): void => stop.resolve();
  const unlisten = bus.on('closed', stopped);
  for (const name of signals) process.once(name, stopped);
  signal?.addEventListener('abort', stopped, { once: true });
  try {
    await bus.connect();
    if (!signal?.aborted) await stop.promise;
  } finally {
    unlisten();
    for (const name of signals) process.off(name, stopped);
    signal?.removeEventListener('abort', stopped);
  }
  await bus.close({ timeout });
}
