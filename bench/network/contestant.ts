/** The payloads that are sent: what an application would send, about 100 bytes and about 1 KB as JSON. */
export const PAYLOADS: Readonly<Record<Size, object>> = {
  '100 B': { id: 42, name: 'x'.repeat(50), tags: ['a', 'b'], ok: true },
  '1 KB': { id: 42, name: 'x'.repeat(900), tags: ['a', 'b', 'c'], nested: { a: 1, b: [1, 2, 3] }, ok: true },
};
export type Size = '100 B' | '1 KB';

/** Called with each payload that arrives; what it returns is waited for before the message is acked. */
export type OnPayload = (payload: object) => void | Promise<void>;

/** Something that consumes. */
export interface Consuming {
  /** Messages that are done, acks answered by the server included. */
  done(): number;
  /** One member of the group goes. Only where there are several. */
  leave?(): Promise<void>;
  stop(): Promise<void>;
}

/** Messages that the server stores until a group has acked them. */
export interface Durable {
  /** Makes the topic and a group on it, so that what is published from now on waits. */
  prepare(topic: string): Promise<void>;
  /** Resolves when the server has stored them all. Each payload is serialized by itself. */
  publish(topic: string, payloads: readonly object[]): Promise<void>;
  /** @param members - of the group; more than one only on Kafka */
  consume(topic: string, handle: OnPayload, members: number): Promise<Consuming>;
}

/** Messages that live only in flight. */
export interface Ephemeral {
  publish(topic: string, payloads: readonly object[]): Promise<void>;
  consume(topic: string, handle: OnPayload): Promise<Consuming>;
}

/** Questions that are answered with their own payload. */
export interface Requests {
  respond(topic: string): Promise<{ stop(): Promise<void> }>;
  ask(topic: string, payload: object): Promise<unknown>;
}

/** One program in one process, connected to the server. */
export interface Session {
  readonly durable?: Durable;
  readonly ephemeral?: Ephemeral;
  readonly requests?: Requests;
  close(): Promise<void>;
}

/** A module in `contestants/` or `peers/` exports one of these as `contestant`. */
export interface Contestant {
  open(url: string): Promise<Session>;
}
