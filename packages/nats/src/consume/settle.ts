import { type BusError, TimeoutError } from '@ambus/core';
import { isUnheard, type Link } from '../link/link.ts';

/** Milliseconds that an answer may take: who leads the consumer may hang while our own connection is fine. */
const PATIENCE = 5_000;

/** One delivery that is settled. */
export interface Settlement {
  readonly reply: string;
  /** Settlements of one consumer are handled in the order in which they are sent. */
  readonly origin: { readonly consumer: string };
}

export const ACK = '+ACK';
export const WORKING = '+WPI';
export const NAK = '-NAK';

/** @param delay - milliseconds */
export const nakWithDelay = (delay: number): string =>
  delay > 0 ? `${NAK} {"delay":${Math.ceil(delay) * 1_000_000}}` : NAK;

/**
 * Sends settlements and resolves when the server has handled them: the last of each consumer is answered.
 *
 * @throws {ConnectionError} when that is unknown
 * @throws {TimeoutError} when nobody leads one of the consumers, or it does not answer
 * @throws {ConfigError} when the account may not settle
 */
export function sendSettlements(link: Link, settlements: readonly Settlement[], verb: string): Promise<void> {
  if (settlements.length === 0) return Promise.resolve();
  if (!link.canSend) return Promise.reject(link.broken());
  return new Promise((resolve, reject) => {
    const isLast = lastOfEach(settlements);
    let open = isLast.size;
    const end = (): void => {
      clearTimeout(timer);
      link.forget(address);
    };
    const fail = (error: BusError): void => {
      end();
      reject(error);
    };
    const address = link.expect({
      answer(_, message) {
        if (isUnheard(message)) return fail(unsettled());
        if (--open > 0) return;
        end();
        resolve();
      },
      broken: () => fail(link.broken()),
      denied(error, subject) {
        if (subject !== undefined && !settlements.some(({ reply }) => reply === subject)) return false;
        fail(error);
        return true;
      },
    });
    const timer = setTimeout(() => fail(unsettled()), PATIENCE);
    timer.unref();
    let text = '';
    for (let at = 0; at < settlements.length; at++) {
      const { reply } = settlements[at]!;
      const to = isLast.has(at) ? `${reply} ${address}` : reply;
      text += `PUB ${to} ${verb.length}\r\n${verb}\r\n`;
    }
    link.driver.write(Buffer.from(text, 'latin1'));
  });
}

const unsettled = (): BusError =>
  new TimeoutError('nats: the consumer has not taken what was settled', { broker: 'nats' });

/** Places of the last settlement of each consumer. */
function lastOfEach(settlements: readonly Settlement[]): Set<number> {
  const places = new Set<number>();
  const seen = new Set<unknown>();
  let origin: unknown;
  for (let at = settlements.length - 1; at >= 0; at--) {
    const { origin: own } = settlements[at]!;
    if (own === origin) continue;
    origin = own;
    if (seen.has(own)) continue;
    seen.add(own);
    places.add(at);
  }
  return places;
}
