import { type BusError, ConfigError, ConnectionError } from '@ambus/core';
import { type Cluster, wait } from '../driver/cluster.ts';
import { Code, isPassing, serverError } from '../driver/errors.ts';
import {
  createPartitions,
  createTopics,
  type NewTopic,
  type TopicMetadata,
} from '../driver/topic-requests.ts';

/** A topic on the server, with the leader of each partition; -1 where there is none now. */
export interface KafkaTopic {
  readonly name: string;
  id: string;
  leaders: readonly number[];
  /** Whether a record has got its partition by their number since that was asked for. */
  used: boolean;
}

interface Creation {
  readonly topic: NewTopic;
  readonly promise: Promise<KafkaTopic>;
  readonly resolve: (topic: KafkaTopic) => void;
  readonly reject: (error: BusError) => void;
}

/** Milliseconds that the server may take to create topics, and then to name their leaders. */
const CREATION = 10_000;
/** Milliseconds between looks at something that will be there in a moment. */
const LOOK = 15;
/** How often, and after how many milliseconds each, a topic that only others create is asked for. */
const ASKED = 4;
const LAG = 120;
/** Most topics in one request: the server handles it as one operation. */
const AT_ONCE = 200;

/** What topics there are, as far as this bus has asked. Creations and look-ups of one tick are one request. */
export class Catalog {
  /** Called with topics that this bus has just created. */
  created: (names: readonly string[]) => void = () => {};
  /** Called with a topic that was deleted and made again since it was last looked at. */
  recreated: (name: string) => void = () => {};
  readonly #cluster: Cluster;
  /** Ids of topics that have been seen, also of those that are gone. */
  readonly #ids = new Map<string, string>();
  /** Of these, which were deleted on purpose. */
  readonly #deleted = new Set<string>();
  readonly #topics = new Map<string, KafkaTopic>();
  readonly #creations = new Map<string, Creation>();
  #asking: Promise<void> | undefined;
  #askingAll: Promise<void> | undefined;
  /** Topics that were asked for since `expire`. */
  #fresh: Set<string> | undefined;
  #names = new Set<string>();
  #flushing = false;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  known(name: string): KafkaTopic | undefined {
    return this.#topics.get(name);
  }

  forget(name: string): void {
    this.#topics.delete(name);
  }

  /** Whether it was there, though it may be gone now; not what was deleted on purpose. */
  seen(name: string): boolean {
    return this.#ids.has(name) && !this.#deleted.has(name);
  }

  /** It was deleted on purpose: nobody misses it, and another one of its name is a new one. */
  deleted(name: string): void {
    this.#topics.delete(name);
    this.#deleted.add(name);
  }

  /** From now on `find` asks again once for each topic, known or not. */
  expire(): void {
    this.#fresh = new Set();
  }

  /** The topics that exist of those; asked of the server where they are not known, or were not asked for since `expire`. */
  async find(names: readonly string[]): Promise<KafkaTopic[]> {
    const unknown = names.filter((name) => !this.#topics.has(name) || this.#fresh?.has(name) === false);
    if (unknown.length > 0) await this.refresh(unknown);
    return names.flatMap((name) => this.#topics.get(name) ?? []);
  }

  /** Asks the server again. What it does not know any more is forgotten. */
  refresh(names: readonly string[]): Promise<void> {
    for (const name of names) {
      this.#names.add(name);
      this.#fresh?.add(name);
    }
    this.#asking ??= Promise.resolve().then(async () => {
      this.#asking = undefined;
      const asked = [...this.#names];
      this.#names = new Set();
      const { topics } = await this.#cluster.metadata(asked);
      for (const topic of topics) this.#learn(topic);
    });
    return this.#asking;
  }

  /** Asks again for all that are known. */
  refreshKnown(): Promise<void> {
    return this.refresh([...this.#topics.keys()]);
  }

  /** Asks again for those whose number of partitions says where records go. */
  async refreshUsed(): Promise<void> {
    const used = this.all().filter((topic) => topic.used);
    for (const topic of used) topic.used = false;
    if (used.length > 0) await this.refresh(used.map(({ name }) => name));
  }

  /** All topics on the server. */
  async refreshAll(): Promise<readonly KafkaTopic[]> {
    this.#askingAll ??= this.#askForAll();
    await this.#askingAll;
    return this.all();
  }

  async #askForAll(): Promise<void> {
    // Later in this tick others may want the same; after the request was written they want a newer answer.
    await Promise.resolve();
    this.#askingAll = undefined;
    const { topics } = await this.#cluster.metadata(undefined);
    const names = new Set(topics.map(({ name }) => name));
    for (const topic of topics) this.#learn(topic);
    for (const name of this.#topics.keys()) if (!names.has(name)) this.#topics.delete(name);
  }

  all(): readonly KafkaTopic[] {
    return [...this.#topics.values()];
  }

  /** Creates a topic unless it is there. */
  async ensure(topic: NewTopic): Promise<KafkaTopic> {
    const known = this.#topics.get(topic.name);
    if (known !== undefined) return known;
    const [found] = await this.find([topic.name]);
    return found ?? this.#create(topic);
  }

  /**
   * Asks more than once: a server that lags behind does not know a new topic yet.
   *
   * @throws {ConfigError} naming what is missing
   */
  async expect(name: string, what: string): Promise<KafkaTopic> {
    for (let asked = 0; asked < ASKED; asked++) {
      if (asked > 0) await wait(LAG);
      const [found] = await this.find([name]);
      if (found !== undefined) return found;
    }
    throw new ConfigError(`${what} does not exist (Kafka topic "${name}"), and this bus may not create it`, {
      broker: 'kafka',
    });
  }

  /** Adds partitions where a topic has fewer. */
  async grow(name: string, partitions: number): Promise<KafkaTopic> {
    const deadline = Date.now() + CREATION;
    for (;;) {
      await this.refresh([name]);
      const topic = this.#topics.get(name);
      if (topic === undefined) throw new ConnectionError(`topic "${name}" is gone`, { broker: 'kafka' });
      if (topic.leaders.length >= partitions) return topic;
      const [answer] = await this.#cluster.sendToController(createPartitions(name, partitions, CREATION));
      const error = answer?.error ?? 0;
      // Somebody else has just done it.
      if (error !== 0 && error !== Code.invalidPartitions && !isPassing(error))
        throw refusal(name, error, answer!.message);
      if (Date.now() > deadline) throw serverError(Code.leaderNotAvailable, `adding partitions to "${name}"`);
      await wait(LOOK);
    }
  }

  #learn({ name, id, error, leaders }: TopicMetadata): void {
    if (error !== 0 && error !== Code.leaderNotAvailable) {
      if (error === Code.unknownTopic || error === Code.invalidTopic) this.#topics.delete(name);
      return;
    }
    const known = this.#topics.get(name);
    if (known === undefined) this.#topics.set(name, { name, id, leaders, used: false });
    else {
      known.id = id;
      known.leaders = leaders;
    }
    const before = this.#ids.get(name);
    this.#ids.set(name, id);
    if (before !== undefined && before !== id) this.recreated(name);
    this.#deleted.delete(name);
  }

  #create(topic: NewTopic): Promise<KafkaTopic> {
    const running = this.#creations.get(topic.name);
    if (running !== undefined) return running.promise;
    const { promise, resolve, reject } = Promise.withResolvers<KafkaTopic>();
    this.#creations.set(topic.name, { topic, promise, resolve, reject });
    if (!this.#flushing) {
      this.#flushing = true;
      setImmediate(() => this.#flush());
    }
    return promise;
  }

  async #flush(): Promise<void> {
    this.#flushing = false;
    const batch = [...this.#creations.values()];
    for (let at = 0; at < batch.length; at += AT_ONCE) {
      const part = batch.slice(at, at + AT_ONCE);
      try {
        await this.#make(part);
      } catch (error) {
        for (const one of part) one.reject(error as BusError);
      } finally {
        for (const { topic } of part) this.#creations.delete(topic.name);
      }
    }
  }

  async #make(batch: readonly Creation[]): Promise<void> {
    const topics = new Map(batch.map(({ topic }) => [topic.name, topic]));
    const deadline = Date.now() + CREATION;
    const made: string[] = [];
    while (topics.size > 0) {
      const answers = await this.#cluster.sendToController(createTopics([...topics.values()], CREATION));
      for (const { name, error, message } of answers) {
        const topic = topics.get(name)!;
        // A server that has just started, or was short of breath, counts as gone for a moment.
        const early = error === Code.invalidReplicationFactor && Date.now() < deadline - CREATION / 2;
        if (early || (isPassing(error) && Date.now() < deadline)) continue;
        topics.delete(name);
        if (error === Code.invalidConfig && TIMESTAMP in topic.config) {
          // Servers before 3.6 do not know it, and do not need it.
          const { [TIMESTAMP]: _, ...config } = topic.config;
          topics.set(name, { ...topic, config });
        } else if (error !== 0 && error !== Code.topicExists) {
          batch.find((one) => one.topic.name === name)!.reject(refusal(name, error, message));
        } else {
          made.push(name);
        }
      }
      if (topics.size > 0) {
        await wait(LOOK);
        await this.#cluster.metadata([]);
      }
    }
    await this.#awaitLeaders(made, deadline);
    if (made.length > 0) this.created(made);
    for (const one of batch) {
      const topic = this.#topics.get(one.topic.name);
      if (topic !== undefined) one.resolve(topic);
      else
        one.reject(
          new ConnectionError(`topic "${one.topic.name}" did not come up in time`, { broker: 'kafka' }),
        );
    }
  }

  async #awaitLeaders(names: readonly string[], deadline: number): Promise<void> {
    let left = names;
    for (;;) {
      if (left.length > 0) await this.refresh(left);
      left = left.filter((name) => {
        const topic = this.#topics.get(name);
        return (
          topic === undefined || topic.leaders.length === 0 || topic.leaders.some((leader) => leader < 0)
        );
      });
      if (left.length === 0 || Date.now() > deadline) return;
      await wait(LOOK);
    }
  }
}

const TIMESTAMP = 'message.timestamp.after.max.ms';

function refusal(name: string, code: number, message: string | null): BusError {
  if (code === Code.topicAuthorization || code === Code.clusterAuthorization) {
    return new ConfigError(`topic "${name}" does not exist, and this account may not create it`, {
      broker: 'kafka',
    });
  }
  const error = serverError(code, `creating topic "${name}"${message === null ? '' : ` (${message})`}`);
  return code === Code.invalidTopic || !error.retryable
    ? new ConfigError(error.message, { broker: 'kafka' })
    : error;
}
