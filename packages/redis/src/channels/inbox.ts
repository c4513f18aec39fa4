import type { BusRecord, Inbox, InboxSink } from '@ambus/core';
import type { Context } from '../context.ts';
import { decodeFrame } from '../wire/frame.ts';

let opened = 0;

/** One channel for all replies to a bus. Those that came in one piece are handed over at once. */
export async function openInbox(context: Context, sink: InboxSink): Promise<Inbox> {
  const { names, ears, host, session } = context;
  const address = `${host.busId}.${++opened}`;
  const channel = `${names.root}i:${address}`;
  let batch: BusRecord[] = [];
  let isOpen = true;
  const heard = (message: Buffer): void => {
    if (batch.length === 0) {
      queueMicrotask(() => {
        const records = batch;
        batch = [];
        if (isOpen) sink(records);
      });
    }
    batch.push(decodeFrame(message, 'reply', channel, address));
  };
  await session.ready();
  await ears.listen(channel, heard);
  return {
    address,
    async close() {
      isOpen = false;
      void ears.unlisten(channel, heard);
    },
  };
}
