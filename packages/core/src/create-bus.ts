import type { Broker, BrokerHost } from './broker.ts';
import { MessageBus } from './bus.ts';
import type { Bus } from './bus-types.ts';
import { systemClock } from './clock.ts';
import { BUS_SPEC, type BusOptions, type TopicRules } from './config/bus-options.ts';
import { checkOptions } from './config/check.ts';
import { type Environment, readEnvironment } from './config/environment.ts';
import { loadBroker } from './config/load-broker.ts';
import { topicRules } from './config/topics.ts';
import { uuidv7 } from './envelope/uuid.ts';
import { ConfigError } from './errors.ts';
import { Emitter } from './events/emitter.ts';
import { Connection } from './lifecycle/connection.ts';
import { consoleLogger, type Logger, silentLogger } from './logger.ts';
import { Publisher } from './publish/publisher.ts';
import { Sender } from './publish/sender.ts';
import { retryPolicy } from './retry/policy.ts';
import { json } from './serializer/json.ts';
import { SerializerRegistry } from './serializer/registry.ts';
import type { Serializer } from './serializer/serializer.ts';
import { newStats } from './stats.ts';
import { deadLetterRule } from './subscribe/make-plan.ts';
import { TopicTable } from './topic/table.ts';
import type { AnyTopics, TopicsOf } from './topic/typed.ts';

const DEFAULT_SOURCE = 'ambus';
const DEFAULT_PREFIX = 'ambus';
const DEFAULTS = {
  publishTimeout: 10_000,
  requestTimeout: 5_000,
  connectTimeout: 5_000,
  closeTimeout: 30_000,
  maxPending: 20_000,
  deduplicationWindow: 300_000,
} as const;

/** A compressed body may grow to this many times the largest body that the broker takes, and no more. */
const DECOMPRESSION_FACTOR = 16;
const DECOMPRESSION_LIMIT = 256 * 1024 * 1024;

/**
 * Makes a bus. It connects with its first use, or with `connect()`.
 *
 * What `options` leaves out comes from the environment (`AMB_BROKER`, `AMB_SERIALIZER`, `AMB_PREFIX`, `AMB_LOG_LEVEL`,
 * and the broker's own), then from the defaults: memory, JSON, prefix `ambus`, warnings and errors logged.
 *
 * @throws {ConfigError} naming the option or the variable, its value, and what is allowed; or the package to install
 * @throws {UnsupportedError} for an option that the broker does not offer
 */
export function createBus<const Rules extends TopicRules>(
  options: BusOptions<Rules> & { readonly topics: Rules },
): Promise<Bus<TopicsOf<Rules>>>;
export function createBus<M extends object = AnyTopics>(options?: BusOptions): Promise<Bus<M>>;
export async function createBus(options: BusOptions = {}): Promise<Bus> {
  checkOptions('bus option', options, BUS_SPEC, ConfigError);
  const environment = readEnvironment(process.env);
  const broker = await chooseBroker(options, environment);
  const serializer = await chooseSerializer(options.serializer ?? environment.serializer ?? 'json');
  const clock = options.clock ?? broker.clock ?? systemClock;
  const logger = chooseLogger(options.logger, environment);
  const events = new Emitter(logger);
  const deadLetter = deadLetterRule(options.deadLetter ?? {}, false);
  const topics = new TopicTable(topicRules(options.topics, deadLetter, broker), serializer);
  const source = options.source ?? DEFAULT_SOURCE;
  const tokens = new Map<string, string>();
  const { maxBodyBytes } = broker.capabilities.limits;
  const maxDecompressedBytes = Math.min(maxBodyBytes * DECOMPRESSION_FACTOR, DECOMPRESSION_LIMIT);
  const publishTimeout = options.publishTimeout ?? DEFAULTS.publishTimeout;

  const host: BrokerHost = {
    busId: uuidv7(),
    source,
    prefix: options.prefix ?? environment.prefix ?? DEFAULT_PREFIX,
    provision: options.provision ?? 'create',
    deduplicationWindow: options.deduplicationWindow ?? DEFAULTS.deduplicationWindow,
    connectTimeout: options.connectTimeout ?? DEFAULTS.connectTimeout,
    clock,
    logger,
    topic: (topic) => topics.get(topic).config,
    get topicRules() {
      return topics.rules;
    },
    disconnected: (error) => {
      logger.warn({ broker: broker.name, err: error }, 'disconnected');
      events.emit('disconnected', { broker: broker.name, error });
    },
    reconnected: () => {
      logger.info({ broker: broker.name }, 'reconnected');
      events.emit('reconnected', { broker: broker.name });
    },
    warning: (message, fields) => {
      logger.warn({ broker: broker.name, ...fields }, message);
      events.emit('warning', { broker: broker.name, message, fields });
    },
    scheduled: (id, token) => void tokens.set(id, token),
  };
  const connection = new Connection(broker, host, () => events.emit('connected', { broker: broker.name }));

  const core = {
    broker,
    clock,
    logger,
    events,
    stats: newStats(),
    publisher: new Publisher(broker, clock, {
      maxPending: options.maxPending ?? DEFAULTS.maxPending,
      whenFull: options.whenFull ?? 'wait',
      publishTimeout,
    }),
    decoding: {
      topics,
      serializers: new SerializerRegistry([
        json(),
        ...(options.serializers ?? []),
        ...ownSerializers(options.topics),
        serializer,
      ]),
      maxDecompressedBytes,
    },
    retry: retryPolicy(options.retry),
    deadLetter,
    circuitBreaker: options.circuitBreaker === false ? undefined : options.circuitBreaker,
  };
  const defaults = {
    broker: broker.name,
    capabilities: broker.capabilities,
    source,
    compress: options.compress,
    maxDecompressedBytes,
  };
  return new MessageBus({
    core,
    connection,
    sender: new Sender(core, connection, defaults, publishTimeout, options.middleware ?? [], tokens),
    requestTimeout: options.requestTimeout ?? DEFAULTS.requestTimeout,
    closeTimeout: options.closeTimeout ?? DEFAULTS.closeTimeout,
    subscribeTimeout: publishTimeout,
  });
}

async function chooseBroker(options: BusOptions, environment: Environment): Promise<Broker> {
  const { broker = environment.broker ?? 'memory', url } = options;
  if (typeof broker === 'string') return loadBroker(broker, url);
  if (url !== undefined) {
    throw new ConfigError(
      `bus option "url" goes with a broker's name; give it to ${broker.name}({ … }) itself`,
    );
  }
  return broker;
}

async function chooseSerializer(serializer: NonNullable<BusOptions['serializer']>): Promise<Serializer> {
  if (serializer === 'json') return json();
  if (serializer === 'msgpack') return (await import('./serializer/msgpack.ts')).msgpack();
  return serializer;
}

function chooseLogger(logger: Logger | false | undefined, environment: Environment): Logger {
  if (logger === false) return silentLogger;
  return logger ?? consoleLogger(environment.logLevel);
}

/** What a topic is written with, its readers must be able to read. */
function ownSerializers(topics: TopicRules | undefined): Serializer[] {
  return Object.values(topics ?? {}).flatMap(({ serializer }) => serializer ?? []);
}
