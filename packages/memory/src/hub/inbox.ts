import type { BusRecord, InboxSink } from '@ambus/core';
import type { MemberLink } from '../group/member.ts';
import type { Dispatchable, Dispatcher } from './dispatcher.ts';

/** One bus's private address. What comes for it while its connection is cut is dropped. */
export class InboxQueue implements Dispatchable {
  readonly address: string;
  scheduled = false;
  readonly #sink: InboxSink;
  readonly #link: MemberLink;
  #open = true;
  #pending: BusRecord[] = [];

  constructor(address: string, sink: InboxSink, link: MemberLink) {
    this.address = address;
    this.#sink = sink;
    this.#link = link;
  }

  push(record: BusRecord): void {
    this.#pending.push(record);
  }

  dispatch(): void {
    const batch = this.#pending;
    this.#pending = [];
    const { inbound } = this.#link;
    if (inbound === undefined) this.#hand(batch);
    else inbound.send(() => this.#hand(batch));
  }

  close(): void {
    this.#open = false;
  }

  #hand(batch: readonly BusRecord[]): void {
    if (this.#open && this.#link.up) this.#sink(batch);
  }
}

/** The inboxes of all buses. */
export class Inboxes {
  readonly #dispatcher: Dispatcher;
  readonly #open = new Map<string, InboxQueue>();
  #opened = 0;

  constructor(dispatcher: Dispatcher) {
    this.#dispatcher = dispatcher;
  }

  /** Opens an inbox under an address that nobody had before. */
  open(busId: string, sink: InboxSink, link: MemberLink): InboxQueue {
    const inbox = new InboxQueue(`inbox.${busId}.${++this.#opened}`, sink, link);
    this.#open.set(inbox.address, inbox);
    return inbox;
  }

  /** Takes a reply to the inbox that its topic names, if that is there. */
  push(record: BusRecord): void {
    const inbox = this.#open.get(record.topic);
    if (inbox === undefined) return;
    inbox.push(record);
    this.#dispatcher.schedule(inbox);
  }

  close(inbox: InboxQueue): void {
    inbox.close();
    this.#open.delete(inbox.address);
  }
}
