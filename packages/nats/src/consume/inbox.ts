import type { ConfigError, Inbox, InboxSink } from '@ambus/core';
import type { Incoming } from '../link/driver.ts';
import type { Link } from '../link/link.ts';
import { WireRecord } from '../wire/record.ts';

/**
 * The one address of a bus that replies come to.
 *
 * @throws {ConfigError} when the account may not
 */
export async function openInbox(link: Link, sink: InboxSink): Promise<Inbox> {
  const address = `${link.inbox}.r`;
  let batch: Incoming[] = [];
  let count = 0;
  const handOver = (): void => {
    const arrived = batch;
    batch = [];
    const now = Date.now();
    sink(arrived.map((message) => new WireRecord(address, 'reply', message, address, ++count, now)));
  };
  let refusal: ConfigError | undefined;
  const subscription = link.subscribe(
    address,
    undefined,
    (message) => {
      if (batch.push(message) === 1) queueMicrotask(handOver);
    },
    (error) => {
      refusal = error;
    },
  );
  try {
    await link.flush();
    if (refusal !== undefined) throw refusal;
  } catch (error) {
    subscription.unsubscribe();
    throw error;
  }
  return {
    address,
    async close() {
      subscription.unsubscribe();
    },
  };
}
