import { BusError, type Inbox, type InboxSink } from '@ambus/core';
import { wait } from './driver/cluster.ts';
import type { InRecord } from './driver/records.ts';
import type { Hub } from './hub.ts';
import { KafkaRecord } from './wire/record.ts';

/** An address names the partition, so that whoever replies needs to ask nobody. */
export function partitionOfAddress(address: string): number {
  const partition = Number(/^(\d+)\./.exec(address)?.[1]);
  return Number.isInteger(partition) ? partition : -1;
}

/** Which replies are for whom is told by their Kafka key, without decoding anything. */
export async function openInbox(hub: Hub, sink: InboxSink): Promise<Inbox> {
  const { name, leaders } = await untilUp(hub, () => repliesTopic(hub));
  const partition = Math.floor(Math.random() * leaders.length);
  const address = `${partition}.${hub.host.busId}`;
  const key = Buffer.from(address);
  const receive = (records: readonly InRecord[]): void => {
    const own = records.filter((record) => record.key?.equals(key) === true);
    if (own.length === 0) return;
    sink(own.map((raw) => new KafkaRecord(raw, 'reply', address, name, partition)));
  };
  const close = await untilUp(hub, () => hub.side.add(name, partition, receive));
  return {
    address,
    async close() {
      close();
    },
  };
}

/** Tries again while the connection is down: core knows how long it wants to wait. */
async function untilUp<T>(hub: Hub, attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (hub.cluster.closed || !BusError.is(error) || !error.retryable) throw error;
      await wait(AGAIN);
    }
  }
}

const AGAIN = 100;

export function repliesTopic(hub: Hub): ReturnType<Hub['own']> {
  return hub.replies();
}
