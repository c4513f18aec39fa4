import { asBusError, type BusError, ConfigError, type Source, type StartPosition } from '@ambus/core';
import type { LinkListener } from '../link/contracts.ts';
import { consumerName, RARE_CLASSES, type RecordClass } from '../names.ts';
import {
  type ConsumerInfo,
  classConsumer,
  ensureClass,
  ensureClasses,
  ensureGroup,
  infoOf,
  usedClasses,
} from '../server/consumers.ts';
import { missing, type Space } from '../server/space.ts';
import { ClassFlow, type ClassOwner } from './class-flow.ts';
import { Scouts } from './scouts.ts';

/** Milliseconds between two looks for classes that no scout has seen. */
const LOOK_FOR_CLASSES = 30_000;
/** Milliseconds before a look at the server that failed is tried again. */
const AGAIN = 300;

/** Milliseconds that a group may still be found in a cluster after it was deleted. */
const DELETED_SOON = 5_000;
/** Milliseconds that it must not be found in a cluster before it counts as deleted. */
const GONE_FOR = 1_000;

/** What the group's standing on the server means to its member. */
export interface StandingOwner extends ClassOwner {
  /** A class has a consumer now, and a flow. */
  opened(flow: ClassFlow): void;
  /** The group's plain consumer was found, or made. */
  joined(info: ConsumerInfo | undefined): void;
  /** It is gone for good. */
  fail(error: BusError): void;
}

/** A group's consumers on the server: one, and one more for each rare class in use. Finds them, and finds out when they are gone. */
export class Standing implements LinkListener {
  readonly classes: Map<RecordClass, ClassFlow> = new Map();
  /** Classes whose consumer is being looked for. */
  readonly opening: Map<RecordClass, Promise<void>> = new Map();
  readonly base: string;
  readonly #owner: StandingOwner;
  readonly #space: Space;
  readonly #source: Source & { readonly group: string };
  readonly #scouts: Scouts;
  #info: ConsumerInfo | undefined;
  #generation: number;
  readonly #warned = new Set<RecordClass>();
  #recovering = false;
  /** Whether the stream was lost, and the group is not there again yet. */
  #isLost = false;
  #closed = false;
  #lastLook: number = Date.now();
  #lookUntil = 0;

  constructor(owner: StandingOwner, source: Source & { readonly group: string }) {
    this.#owner = owner;
    this.#space = owner.space;
    this.#source = source;
    this.base = consumerName(source.pattern, source.group);
    this.#generation = this.#space.generation;
    this.#scouts = new Scouts(
      this.#space,
      source.pattern,
      (recordClass) => void this.#openClass(recordClass, true),
    );
  }

  /** The group is there when it resolves. */
  async join(from: StartPosition): Promise<void> {
    const { pattern, group } = this.#source;
    this.#generation = this.#space.generation;
    if (this.#space.link.host.provision !== 'none') {
      const { mayCreate, streams } = this.#space;
      this.#info = await ensureGroup(this.#space, pattern, group, from, mayCreate);
      // What has no consumer yet would be removed the moment that it is published.
      if (streams.retention === 'interest' && mayCreate)
        await ensureClasses(this.#space, this.#info, pattern, group);
    }
    // Whoever may make nothing has the group's lease all the same.
    const joined = this.#info ?? (await this.read());
    if (!this.#closed) this.#owner.joined(joined);
  }

  /** The plain class last: what is more urgent is there before it. */
  async open(): Promise<void> {
    this.#space.link.listeners.add(this);
    await this.discover();
    this.#add('n', this.#info?.num_pending ?? 0);
    if (this.#generation !== this.#space.generation) this.recover();
  }

  /** Begins with the rare classes in which there is something. */
  async discover(): Promise<void> {
    if (this.#closed) return;
    this.#lastLook = Date.now();
    this.#scouts.open((recordClass) => this.classes.has(recordClass));
    const used =
      this.#info === undefined
        ? RARE_CLASSES
        : await usedClasses(this.#space, this.#info, this.#source.pattern).catch((): RecordClass[] => []);
    await Promise.all(used.map((recordClass) => this.#openClass(recordClass, this.#info !== undefined)));
    if (this.#info === undefined && this.classes.size < RARE_CLASSES.length) void this.#lookForLost();
  }

  /** Where it was not asked what is used: whether there is something that nobody here can get at. */
  async #lookForLost(): Promise<void> {
    const everything = { config: { deliver_policy: 'all' } };
    const used = await usedClasses(this.#space, everything, this.#source.pattern).catch(() => []);
    for (const recordClass of used) if (!this.classes.has(recordClass)) this.#warn(recordClass);
  }

  denied(error: BusError, subject: string): boolean {
    const isOurs = [...this.classes.values()].some(({ flow }) => flow.requests === subject);
    if (isOurs) this.ended(error);
    return isOurs;
  }

  tick(now: number): void {
    for (const flow of this.classes.values()) flow.flow.tick(now);
    if (now - this.#lastLook > LOOK_FOR_CLASSES && this.#space.link.canSend) void this.discover();
  }

  /** Something of it was not found, or was said to be gone. */
  readonly recover = (): void => {
    if (!this.#recovering && !this.#closed) void this.#recover();
  };

  /** Somebody says that the group was deleted. */
  readonly told = (): void => {
    this.#lookUntil = Date.now() + DELETED_SOON;
    this.recover();
  };

  /** The plain consumer as it is now. */
  async read(): Promise<ConsumerInfo | undefined> {
    return infoOf(this.#space, this.base).catch(() => undefined);
  }

  close(): void {
    this.#closed = true;
    this.#space.link.listeners.delete(this);
    this.#scouts.close();
  }

  #add(recordClass: RecordClass, backlog: number): void {
    if (this.#closed || this.classes.has(recordClass)) return;
    const flow = new ClassFlow(this.#owner, this.base, recordClass, backlog);
    this.classes.set(recordClass, flow);
    this.#scouts.done(recordClass);
    this.#owner.opened(flow);
  }

  /** @param isUsed - whether there is something in it */
  #openClass(recordClass: RecordClass, isUsed: boolean): Promise<void> {
    if (this.classes.has(recordClass) || this.#closed) return Promise.resolve();
    let opening = this.opening.get(recordClass);
    if (opening === undefined) {
      opening = this.#findClass(recordClass)
        .catch((error: unknown) => {
          // Otherwise the next look, or scout's call, finds it.
          return !ConfigError.is(error);
        })
        .then((isFine) => {
          if (isUsed && !isFine) this.#warn(recordClass);
        })
        .finally(() => {
          this.opening.delete(recordClass);
          this.#owner.changed();
        });
      this.opening.set(recordClass, opening);
    }
    return opening;
  }

  /** What lies there waits until somebody makes its consumer. */
  #warn(recordClass: RecordClass): void {
    if (this.#closed || this.#warned.has(recordClass)) return;
    this.#warned.add(recordClass);
    const { pattern, group } = this.#source;
    this.#space.link.host.warning(
      'messages with a key or a priority wait: the group has no consumer for them, and this bus may not create it; admin.ensureGroup() of one that may does',
      { pattern, group, consumer: classConsumer(this.base, recordClass) },
    );
  }

  /** @returns whether it has a consumer */
  async #findClass(recordClass: RecordClass): Promise<boolean> {
    const { pattern, group } = this.#source;
    const info = this.#info;
    const found =
      info === undefined
        ? await infoOf(this.#space, classConsumer(this.base, recordClass))
        : await ensureClass(this.#space, info, pattern, group, recordClass);
    if (found !== undefined && info === this.#info) this.#add(recordClass, found.num_pending);
    return found !== undefined;
  }

  /** Finds out what happened to a consumer that is not there: lost with the server's state, or deleted. */
  async #recover(): Promise<void> {
    this.#recovering = true;
    try {
      await this.#space.verify(this.#source.pattern);
      if (this.#isLost || this.#generation !== this.#space.generation) await this.#startAnew();
      else await this.#look();
    } catch (error) {
      const known = asBusError(error, { topic: this.#source.pattern, broker: 'nats' });
      if (!known.retryable) this.ended(known);
      else setTimeout(() => (this.#isLost ? this.recover() : this.#again()), AGAIN).unref();
    } finally {
      this.#recovering = false;
    }
    if (this.#generation !== this.#space.generation) this.recover();
  }

  #again(): void {
    if (this.#closed || this.#owner.isPaused) return;
    for (const flow of this.classes.values()) if (!flow.flow.isOpen) flow.open();
    this.#owner.changed();
  }

  /** All that the stream holds now came after it was lost. */
  async #startAnew(): Promise<void> {
    this.#isLost = true;
    for (const flow of this.classes.values()) flow.gone();
    this.classes.clear();
    await this.join('earliest');
    this.#isLost = false;
    await this.discover();
    this.#add('n', this.#info?.num_pending ?? 0);
  }

  async #look(): Promise<void> {
    const { pattern, group } = this.#source;
    if (await this.#isGone()) {
      // Not the group alone, where the stream has gone a moment ago.
      await this.#space.verify(pattern);
      if (this.#generation !== this.#space.generation) return;
      const name = `group "${group}" on "${pattern}"`;
      this.ended(
        // Where it was not asked for when this began, it may never have been there.
        this.#info === undefined
          ? missing(name, pattern)
          : new ConfigError(`${name} was deleted`, { topic: pattern, broker: 'nats' }),
      );
      return;
    }
    // One of a rare class may be gone alone.
    for (const [recordClass, flow] of this.classes) {
      if (recordClass === 'n' || (await infoOf(this.#space, flow.consumer)) !== undefined) continue;
      flow.gone();
      this.classes.delete(recordClass);
    }
    await this.discover();
    setTimeout(() => this.#again(), AGAIN / 2).unref();
    if (Date.now() < this.#lookUntil) setTimeout(this.recover, AGAIN).unref();
  }

  /** While a cluster elects who leads it, what is there may be said not to be: gone is what is so for a while. */
  async #isGone(): Promise<boolean> {
    const end = Date.now() + (this.#space.link.driver.isClustered ? GONE_FOR : 0);
    for (;;) {
      if ((await infoOf(this.#space, this.base)) !== undefined) return false;
      if (Date.now() >= end) return true;
      await new Promise((resolve) => setTimeout(resolve, AGAIN).unref());
    }
  }

  /** Ends it for good. */
  ended(error: BusError): void {
    if (this.#closed) return;
    this.close();
    for (const flow of this.classes.values()) flow.stop();
    this.#owner.fail(error);
  }
}
