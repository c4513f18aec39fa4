import type { Redis } from 'ioredis';

/** Milliseconds between two looks whether the other end still answers, and of silence after which it does not. */
const PULSE = 1_000;
const SILENCE = 4_000;
/** Milliseconds in which a server answers that is well. */
const AT_ONCE = 500;

interface Heard {
  bytes: number;
  since: number;
  asked: boolean;
}

/**
 * Names connections over which nothing has come for too long.
 *
 * @param connections - those that are there now
 * @returns ends it
 */
export function watch(connections: () => readonly Redis[], silent: (connection: Redis) => void): () => void {
  const heard = new WeakMap<Redis, Heard>();
  let lastLook = performance.now();
  const look = (): void => {
    const now = performance.now();
    // This process stood still: what the server said meanwhile has not been read yet.
    const isLate = now - lastLook > 2 * PULSE;
    lastLook = now;
    for (const connection of connections()) {
      const state = heard.get(connection) ?? { bytes: -1, since: now, asked: false };
      heard.set(connection, state);
      const bytes = (connection as { stream?: { bytesRead: number } }).stream?.bytesRead ?? 0;
      if (bytes !== state.bytes || !state.asked || isLate) {
        state.bytes = bytes;
        state.since = now;
      }
      if (now - state.since > SILENCE) silent(connection);
      else if (!state.asked) ask(connection, state);
    }
  };
  const timer = setInterval(look, PULSE);
  timer.unref();
  return () => clearInterval(timer);
}

function ask(connection: Redis, state: Heard): void {
  state.asked = true;
  connection.ping().then(
    () => {
      state.asked = false;
    },
    () => {},
  );
}

/** Whether the other end answers at once. */
export async function answers(connection: Redis): Promise<boolean> {
  const late = new Promise<boolean>((resolve) => setTimeout(resolve, AT_ONCE, false).unref());
  const pong = connection.ping().then(
    () => true,
    () => false,
  );
  return Promise.race([pong, late]);
}
