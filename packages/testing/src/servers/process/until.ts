import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Tries until it does not reject.
 *
 * @param patience - milliseconds, after which the last error is thrown
 * @param hopeless - rejects when no further try can help
 */
export async function until<T>(
  attempt: () => Promise<T>,
  patience: number,
  hopeless?: () => Promise<void>,
): Promise<T> {
  const deadline = performance.now() + patience;
  for (let pause = 5; ; pause = Math.min(pause * 1.5, 100)) {
    try {
      return await attempt();
    } catch (error) {
      await hopeless?.();
      if (performance.now() > deadline) throw error;
    }
    await sleep(pause);
  }
}
