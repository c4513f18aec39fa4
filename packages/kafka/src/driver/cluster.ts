import { type BusError, ClosedError, ConnectionError } from '@ambus/core';
import { Code, isPassing, serverError } from './errors.ts';
import { CoordinatorOf, findCoordinator } from './group-requests.ts';
import type { Client } from './kafkajs.ts';
import { Link } from './link.ts';
import type { Request } from './request.ts';
import { type Metadata, metadata, type NodeInfo } from './topic-requests.ts';

/** Milliseconds before a step that failed for the moment is tried again; leaders are elected in about this time. */
const AGAIN = 60;

/** The servers, and one shared connection to each that is asked for. Requests that the server holds back have links of their own. */
export class Cluster {
  readonly client: Client;
  controller = -1;
  readonly #nodes = new Map<number, NodeInfo>();
  readonly #shared = new Map<number, Promise<Link>>();
  readonly #links = new Set<Link>();
  readonly #coordinators = new Map<string, number>();
  readonly #broken: (error: BusError) => void;
  #seed: Promise<Link> | undefined;
  #closed = false;

  /** @param broken - called when a shared connection ends unasked */
  constructor(client: Client, broken: (error: BusError) => void) {
    this.client = client;
    this.#broken = broken;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Asks any server for the servers and topics, and remembers the servers. */
  async metadata(topics: readonly string[] | undefined, timeout?: number): Promise<Metadata> {
    const link = await this.#any();
    const found = await link.send(metadata(topics), timeout);
    this.controller = found.controller;
    if (found.nodes.length > 0) {
      for (const node of found.nodes) {
        const known = this.#nodes.get(node.id);
        if (known !== undefined && (known.host !== node.host || known.port !== node.port))
          this.#shared.delete(node.id);
        this.#nodes.set(node.id, node);
      }
    }
    return found;
  }

  /** Resolves when the shared connection of one node is open. */
  async reach(node: number): Promise<void> {
    await this.#node(node);
  }

  /** Sends over the shared connection of one node. */
  async send<T>(node: number, request: Request<T>, timeout?: number): Promise<T> {
    const link = await this.#node(node);
    return link.send(request, timeout);
  }

  async sendToController<T>(request: Request<T>, timeout?: number): Promise<T> {
    if (!this.#nodes.has(this.controller)) await this.metadata([]);
    return this.send(this.controller, request, timeout);
  }

  async sendToAny<T>(request: Request<T>): Promise<T> {
    return (await this.#any()).send(request);
  }

  /** A connection of one's own to a node. */
  async dedicated(node: number): Promise<Link> {
    if (!this.#nodes.has(node)) await this.metadata([]);
    const info = this.#nodes.get(node);
    if (info === undefined) throw new ConnectionError(`there is no server ${node}`, { broker: 'kafka' });
    return this.#open(info.host, info.port);
  }

  /** The node that coordinates a group, or the transactions of an id. */
  async coordinator(
    name: string,
    deadline: number = Date.now() + this.client.requestTimeout,
    of: number = CoordinatorOf.group,
  ): Promise<number> {
    const known = this.#coordinators.get(of + name);
    if (known !== undefined) return known;
    for (;;) {
      const link = await this.#any();
      const { error, node } = await link.send(findCoordinator(name, of));
      if (error === 0) {
        this.#nodes.set(node.id, node);
        this.#coordinators.set(of + name, node.id);
        return node.id;
      }
      if (!isPassing(error) || Date.now() > deadline)
        throw serverError(error, `finding the coordinator of ${name}`);
      await wait(AGAIN);
    }
  }

  forgetCoordinator(name: string, of: number = CoordinatorOf.group): void {
    this.#coordinators.delete(of + name);
  }

  /** Sends to a coordinator over the shared connection, and again while it moves. `errorOf` finds the answer's error code. */
  async sendToCoordinator<T>(
    name: string,
    request: Request<T>,
    errorOf: (answer: T) => number,
    deadline: number = Date.now() + this.client.requestTimeout * 2,
    of: number = CoordinatorOf.group,
  ): Promise<T> {
    for (;;) {
      const node = await this.coordinator(name, deadline, of);
      const answer = await this.send(node, request);
      const error = errorOf(answer);
      if (error === Code.notCoordinator || error === Code.coordinatorNotAvailable)
        this.forgetCoordinator(name, of);
      else if (error !== Code.coordinatorLoading) return answer;
      if (Date.now() > deadline) throw serverError(error, `${request.name} of ${name}`);
      await wait(AGAIN);
    }
  }

  nodes(): readonly number[] {
    return [...this.#nodes.keys()];
  }

  close(): void {
    this.#closed = true;
    this.drop();
  }

  /** Ends all connections; the next request opens new ones. */
  drop(): void {
    this.#shared.clear();
    this.#seed = undefined;
    this.#coordinators.clear();
    for (const link of this.#links) link.close();
    this.#links.clear();
  }

  async #open(host: string, port: number): Promise<Link> {
    if (this.#closed) throw new ClosedError('the broker is closed', { broker: 'kafka' });
    const link = await Link.open(this.client, host, port);
    if (this.#closed) {
      link.close();
      throw new ClosedError('the broker is closed', { broker: 'kafka' });
    }
    this.#links.add(link);
    link.onClosed(() => this.#links.delete(link));
    return link;
  }

  #share(opened: Promise<Link>, forget: () => void): Promise<Link> {
    opened.then(
      (link) =>
        link.onClosed((error) => {
          const known = this.#links.delete(link);
          forget();
          if (known && !this.#closed) this.#broken(error);
        }),
      forget,
    );
    return opened;
  }

  #node(id: number): Promise<Link> {
    const known = this.#shared.get(id);
    if (known !== undefined) return known;
    const opened: Promise<Link> = this.#share(this.dedicated(id), () => {
      if (this.#shared.get(id) === opened) this.#shared.delete(id);
    });
    this.#shared.set(id, opened);
    return opened;
  }

  #any(): Promise<Link> {
    if (this.#seed === undefined) {
      const opened: Promise<Link> = this.#share(this.#openAny(), () => {
        if (this.#seed === opened) this.#seed = undefined;
      });
      this.#seed = opened;
    }
    return this.#seed;
  }

  /** The first address that answers; those that were given first, then those that the servers told. */
  async #openAny(): Promise<Link> {
    const told = Array.from(this.#nodes.values(), ({ host, port }) => `${host}:${port}`);
    const addresses = [...new Set([...this.client.brokers, ...told])];
    let last: unknown;
    for (const address of addresses) {
      const at = address.lastIndexOf(':');
      try {
        return await this.#open(
          address.slice(0, at).replace(/^\[(.*)\]$/, '$1'),
          Number(address.slice(at + 1)),
        );
      } catch (error) {
        if (ClosedError.is(error) || (ConnectionError.is(error) && !error.retryable)) throw error;
        last = error;
      }
    }
    throw last;
  }
}

export function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds).unref();
  });
}
