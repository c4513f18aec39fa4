import { ConfigError, type TopicConfig } from '@ambus/core';
import { MAX_HEADER_BYTES } from '../capabilities.ts';
import type { NewTopic } from '../driver/topic-requests.ts';
import type { Kind } from '../names.ts';
import type { Settings } from '../options.ts';

/** Options of topics that only Kafka knows. */
export const TOPIC_OPTIONS: readonly string[] = [
  'partitions',
  'replicationFactor',
  'compact',
  'kafkaTopic',
  'kafkaConfig',
];

interface KafkaTopicOptions {
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly compact?: boolean;
  readonly kafkaTopic?: string;
  readonly kafkaConfig?: Readonly<Record<string, string>>;
}

/** What goes with one message beside its body: headers, and what a retry or a dead letter adds. */
const ROOM = MAX_HEADER_BYTES + 64 * 1024;
/** Kafka's own default for the largest batch; topics need to say it only where they take more. */
const SERVER_DEFAULT = 1_048_588;
/** Requests, replies and ephemeral messages are read at once or never. */
const FLEETING = Object.freeze({ 'retention.ms': '600000', 'segment.ms': '600000' });
/**
 * For a time that lies in the future, of which the default of Kafka 4 refuses more than an hour. What is kept counts from
 * it, whatever the server's own defaults are: until then nobody can have had the message.
 */
const DELAYED = Object.freeze({
  'message.timestamp.after.max.ms': '9223372036854775807',
  'message.timestamp.type': 'CreateTime',
  'retention.bytes': '-1',
});

export function optionsOf(config: TopicConfig): KafkaTopicOptions {
  const { partitions, replicationFactor, compact, kafkaTopic, kafkaConfig } = config as KafkaTopicOptions;
  const wrong = (name: string, allowed: string): never => {
    throw new ConfigError(`topic option "${name}" must be ${allowed}`, { broker: 'kafka' });
  };
  if (partitions !== undefined && !(Number.isInteger(partitions) && partitions >= 1))
    wrong('partitions', 'at least 1');
  if (replicationFactor !== undefined && !Number.isInteger(replicationFactor))
    wrong('replicationFactor', 'a whole number');
  if (compact !== undefined && typeof compact !== 'boolean') wrong('compact', 'true or false');
  if (kafkaTopic !== undefined && !/^[A-Za-z0-9._-]{1,240}$/.test(kafkaTopic)) {
    wrong('kafkaTopic', '1 to 240 letters, digits, ".", "_" and "-"');
  }
  if (kafkaConfig !== undefined && !isTexts(kafkaConfig)) wrong('kafkaConfig', 'an object of texts');
  return {
    partitions: partitions!,
    replicationFactor: replicationFactor!,
    compact: compact!,
    kafkaTopic: kafkaTopic!,
    kafkaConfig: kafkaConfig!,
  };
}

function isTexts(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((one) => typeof one === 'string');
}

/** A topic as it is to be created. */
export function newTopic(name: string, kind: Kind, config: TopicConfig, settings: Settings): NewTopic {
  const own = optionsOf(config);
  const { maxAge } = config.retention;
  return {
    name,
    partitions: own.partitions ?? settings.partitions,
    replicas: own.replicationFactor ?? settings.replicationFactor,
    config: {
      ...sizeConfig(settings),
      ...(maxAge === undefined ? undefined : { 'retention.ms': String(maxAge) }),
      ...(own.compact === true && kind === 'main' ? { 'cleanup.policy': 'compact,delete' } : undefined),
      ...(kind === 'r' || kind === 'e' ? FLEETING : undefined),
      ...(kind === 'd' ? DELAYED : undefined),
      ...(kind === 'x' ? { 'message.timestamp.type': 'LogAppendTime' } : undefined),
      ...(kind === 'main' ? own.kafkaConfig : undefined),
    },
  };
}

export function sizeConfig({ maxMessageBytes }: Settings): Record<string, string> {
  const needed = maxMessageBytes + ROOM;
  return needed > SERVER_DEFAULT ? { 'max.message.bytes': String(needed) } : {};
}

/** Topics that belong to no bus topic. */
export function ownTopic(
  name: string,
  partitions: number,
  settings: Settings,
  config: Record<string, string>,
): NewTopic {
  return {
    name,
    partitions,
    replicas: settings.replicationFactor,
    config: { ...sizeConfig(settings), ...config },
  };
}

/** For topics of requests' replies and of announcements. */
export const SHORT_LIVED: Readonly<Record<string, string>> = FLEETING;
