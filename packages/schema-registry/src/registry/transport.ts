import { setTimeout as sleep } from 'node:timers/promises';
import { BusError, ConnectionError, TimeoutError } from '@ambus/core';
import { type Answer, type Call, send } from './http.ts';
import type { Settings } from './options.ts';

/** Milliseconds between tries. */
const BACKOFF = { first: 100, longest: 2_000 };

/** Asks the members of a registry in turn until one answers, or the time is up. */
export class Transport {
  readonly #settings: Settings;
  /** The member that answered last. */
  #current = 0;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** @throws {ConnectionError | TimeoutError} when none answers; `retryable` but where the credentials are refused */
  async ask(call: Call): Promise<Answer> {
    const { endpoints, tls, timeout, requestTimeout, retries } = this.#settings;
    const end = performance.now() + timeout;
    for (let tries = 0; ; tries++) {
      const member = this.#current;
      try {
        const left = Math.max(end - performance.now(), 1);
        return await send(endpoints[member]!, call, tls, Math.ceil(Math.min(requestTimeout, left)));
      } catch (error) {
        if (!BusError.is(error) || !error.retryable || tries >= retries) throw error;
        // Another call may have moved on already.
        if (this.#current === member) this.#current = (member + 1) % endpoints.length;
        const wait = Math.min(BACKOFF.first * 2 ** tries, BACKOFF.longest) * (0.5 + Math.random() / 2);
        if (performance.now() + wait >= end) {
          throw new TimeoutError(`${error.message} (given up after ${timeout} ms)`, { cause: error });
        }
        await sleep(wait);
      }
    }
  }

  /** A `ConnectionError` saying that the answer is not what the API promises. */
  unexpected(call: Call, { status, body }: Answer): ConnectionError {
    const { origin } = this.#settings.endpoints[this.#current]!.url;
    const said = typeof body.message === 'string' ? `: ${body.message.slice(0, 500)}` : '';
    return new ConnectionError(
      `schema registry ${origin}: ${call.method} ${call.path} was answered with ${status}${said}, which makes no sense`,
      { retryable: false },
    );
  }
}
