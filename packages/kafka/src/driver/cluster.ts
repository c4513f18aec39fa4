import { BusError, ClosedError, ConnectionError } from '@ambus/core';
import { Code, isPassing, serverError } from './errors.ts';
import { CoordinatorOf, findCoordinator } from './group-requests.ts';
import type { Client } from './kafkajs.ts';
import { Link } from './link.ts';
import type { Request } from './request.ts';
import { type Metadata, metadata, type NodeInfo } from './topic-requests.ts';

/** Milliseconds before a step that failed for the moment is tried again; leaders are elected in about this time. */
const AGAIN = 60;

/** Milliseconds that one address gets before the next is tried as well. */
const NEXT_ADDRESS = 250;

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
  /** The address that answered last. */
  #good: string | undefined;
  #closed = false;

  /**
   * @param broken - called when the connection to any server ends unasked, by which signs of life are asked for; all others
   *   may end (servers close idle ones, and one of many may go) and are opened again when they are needed
   */
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
    if (found.nodes.length === 0) return found;
    const before = new Map(this.#nodes);
    this.#nodes.clear();
    for (const node of found.nodes) this.#nodes.set(node.id, node);
    for (const [id, { host, port }] of before) {
      const node = this.#nodes.get(id);
      if (node?.host !== host || node.port !== port) this.#shared.delete(id);
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

  /** Over the connection by which an outage is noticed. */
  async sendToAny<T>(request: Request<T>): Promise<T> {
    return (await this.#any()).send(request);
  }

  /** A connection of one's own to a node. */
  async dedicated(node: number): Promise<Link> {
    try {
      if (!this.#nodes.has(node)) await this.metadata([]);
      const info = this.#nodes.get(node);
      if (info === undefined) throw new ConnectionError(`there is no server ${node}`, { broker: 'kafka' });
      return await this.#open(info.host, info.port);
    } catch (error) {
      // What it coordinated is soon another's.
      for (const [group, coordinator] of this.#coordinators) {
        if (coordinator === node) this.#coordinators.delete(group);
      }
      throw error;
    }
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
      let answer: T;
      try {
        answer = await this.send(node, request);
      } catch (error) {
        if (!BusError.is(error) || !error.retryable || Date.now() > deadline) throw error;
        this.forgetCoordinator(name, of);
        await wait(AGAIN);
        continue;
      }
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
    this.drop(isClosed());
  }

  /** Ends all connections; the next request opens new ones. */
  drop(reason?: BusError): void {
    this.#shared.clear();
    this.forget();
    for (const link of this.#links) link.close(reason);
    this.#links.clear();
  }

  /** The next request asks any server anew, and who coordinates what. */
  forget(): void {
    this.#seed = undefined;
    this.#coordinators.clear();
  }

  async #open(host: string, port: number): Promise<Link> {
    if (this.#closed) throw isClosed();
    const link = await Link.open(this.client, host, port).catch((error: unknown) => {
      throw this.#closed ? isClosed() : error;
    });
    if (this.#closed) {
      link.close();
      throw isClosed();
    }
    this.#links.add(link);
    link.onClosed(() => this.#ended(link));
    return link;
  }

  /** What hangs on a server that does not answer would be noticed only one by one. */
  #ended(link: Link): boolean {
    const known = this.#links.delete(link);
    if (link.silent) {
      for (const other of this.#links)
        if (other.host === link.host && other.port === link.port) other.close();
    }
    return known;
  }

  #node(id: number): Promise<Link> {
    const known = this.#shared.get(id);
    if (known !== undefined) return known;
    const opened = this.dedicated(id);
    const forget = (): void => {
      if (this.#shared.get(id) === opened) this.#shared.delete(id);
    };
    opened.then(
      (link) =>
        link.onClosed(() => {
          this.#ended(link);
          forget();
        }),
      forget,
    );
    this.#shared.set(id, opened);
    return opened;
  }

  #any(): Promise<Link> {
    if (this.#seed !== undefined) return this.#seed;
    const opened = this.#openAny();
    const forget = (): void => {
      if (this.#seed === opened) this.#seed = undefined;
    };
    opened.then(
      (link) =>
        link.onClosed((error) => {
          const known = this.#ended(link);
          const wanted = this.#seed === opened;
          forget();
          if (known && wanted && !this.#closed) this.#broken(error);
        }),
      forget,
    );
    this.#seed = opened;
    return opened;
  }

  /**
   * The first address that answers: the last good one, those that were given, those that the servers told. An address
   * that says nothing does not hold up the next.
   */
  async #openAny(): Promise<Link> {
    const told = Array.from(this.#nodes.values(), ({ host, port }) => `${host}:${port}`);
    const good = this.#good === undefined ? [] : [this.#good];
    const left = [...new Set([...good, ...this.client.brokers, ...told])];
    const { promise, resolve, reject } = Promise.withResolvers<Link>();
    let found = false;
    let trying = 0;
    let timer: NodeJS.Timeout | undefined;
    const next = (): void => {
      clearTimeout(timer);
      const address = left.shift();
      if (address === undefined || found) return;
      trying++;
      timer = setTimeout(next, NEXT_ADDRESS).unref();
      const at = address.lastIndexOf(':');
      const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1');
      this.#open(host, Number(address.slice(at + 1))).then(
        (link) => {
          if (found) return link.close();
          found = true;
          clearTimeout(timer);
          this.#good = address;
          resolve(link);
        },
        (error: unknown) => {
          trying--;
          // Refused credentials are refused everywhere.
          const final = BusError.is(error) && !error.retryable;
          if (final || (left.length === 0 && trying === 0)) {
            found = true;
            clearTimeout(timer);
            reject(error);
          } else if (!found) next();
        },
      );
    };
    next();
    return promise;
  }
}

export function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds).unref();
  });
}

function isClosed(): ClosedError {
  return new ClosedError('the broker is closed', { broker: 'kafka' });
}
