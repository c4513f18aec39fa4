import type { BusError, ConfigError } from '@ambus/core';
import type { Incoming } from './driver.ts';

/** What answers to one request, or to the messages of one batch, are handed to. */
export interface Expecting {
  /** @param index - what was written behind the address, or 0 */
  answer(index: number, message: Incoming): void;
  /** The connection broke: answers may be lost. */
  broken(): void;
  /**
   * The account may not publish to this subject, or, without one, not receive answers.
   *
   * @returns whether it has sent something there
   */
  denied?(error: ConfigError, subject: string | undefined): boolean;
}

/** Told of the connection's state. */
export interface LinkListener {
  /** The connection broke. */
  down?(): void;
  /** It is back; the driver has subscribed to everything again. */
  up?(): void | Promise<void>;
  /** Once a second, connected or not. */
  tick?(now: number): void;
  /**
   * The account may not publish to this subject.
   *
   * @returns whether it has sent something there
   */
  denied?(error: ConfigError, subject: string): boolean;
  /** The connection will not come back. */
  ended?(error: BusError): void;
}
