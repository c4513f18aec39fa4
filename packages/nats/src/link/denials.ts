import { type BrokerHost, ConfigError } from '@ambus/core';

/** Subjects for which is remembered that somebody was told. */
const MOST_TOLD = 100;

/** What the account turned out not to be allowed. */
export class Denials {
  readonly #host: BrokerHost;
  readonly #told = new Set<string>();

  constructor(host: BrokerHost) {
    this.#host = host;
  }

  /** Tells the operator, once a subject. */
  tell(what: string, subject: string): void {
    if (this.#told.has(subject)) return;
    this.remember(subject);
    this.#host.warning(`the account may not ${what} a subject that the bus uses`, { subject });
  }

  /** Somebody knows. */
  remember(subject: string): void {
    if (this.#told.size < MOST_TOLD) this.#told.add(subject);
  }
}

const errors = new WeakSet<object>();

export function denied(what: string, subject: string): ConfigError {
  const error = new ConfigError(`nats: the account may not ${what} ${subject}`, { broker: 'nats' });
  errors.add(error);
  return error;
}

/** Whether it is the account that may not. */
export const isDenied = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && errors.has(error);
