export type { BreakerState, CircuitBreakerOptions } from './breaker/circuit-breaker.ts';
export type {
  Admin,
  Broker,
  BrokerHost,
  BrokerSubscription,
  Delivery,
  GroupInfo,
  Inbox,
  InboxSink,
  Page,
  Sink,
  Source,
  StartPosition,
  StoredRecord,
  TopicInfo,
} from './broker.ts';
export type { Bus, PublishEntry, RunOptions } from './bus-types.ts';
export type { Capabilities, Feature, Limits, Support } from './capabilities.ts';
export { type Clock, sleep, systemClock, type Timer } from './clock.ts';
export type { BusOptions, TopicRules } from './config/bus-options.ts';
export * as check from './config/check.ts';
export type { BrokerName } from './config/load-broker.ts';
export { createBus } from './create-bus.ts';
export type {
  DeadLetter,
  DeadLetterFilter,
  DeadLetterPage,
  DeadLetters,
  ListOptions,
  ReplayOptions,
} from './dead-letter/dead-letters.ts';
export type { DeadLetterOptions } from './dead-letter/options.ts';
export type { DeadLetterInfo } from './dead-letter/record.ts';
export { type Arrival, fromHeaders, type HeaderStyle, toHeaders } from './envelope/attributes.ts';
export type { BusRecord, Channel, Extensions, Headers, PriorityLevel } from './envelope/record.ts';
export { uuidTime, uuidv7 } from './envelope/uuid.ts';
export * from './errors.ts';
export type { BreakerEvent, BusEvents, ConsumerEvent, MessageEvent } from './events/events.ts';
export type { BusAdmin } from './lifecycle/admin.ts';
export { consoleLogger, type LogFunction, type Logger, type LogLevel, silentLogger } from './logger.ts';
export type { Middleware, Outgoing } from './middleware/middleware.ts';
export { type DeliveryMode, PRIORITIES, type Priority, type PublishOptions } from './publish/options.ts';
export type { Receipt } from './publish/receipt.ts';
export type { RequestOptions, RespondOptions, ScatterOptions } from './request/options.ts';
export type { Reply } from './request/requester.ts';
export type { Replier, RespondHandler } from './request/responder.ts';
export type { RetryOn, RetryOptions } from './retry/policy.ts';
export type { CompressOption } from './serializer/compression.ts';
export { type JsonOptions, json } from './serializer/json.ts';
export type { Serializer, SerializerContext } from './serializer/serializer.ts';
export type { BusStats } from './stats.ts';
export type { Condition, Filter, FilterRules } from './subscribe/filter.ts';
export type { Message } from './subscribe/message.ts';
export type { AckMode, BatchAck, BatchHandler, Handler, SubscribeOptions } from './subscribe/options.ts';
export type { ReceiveOptions } from './subscribe/receive.ts';
export type { MessageStream } from './subscribe/stream.ts';
export type { Subscription } from './subscribe/subscription.ts';
export type {
  Durability,
  Provision,
  Retention,
  TopicConfig,
  TopicOptions,
  TopicRule,
} from './topic/config.ts';
export {
  compilePattern,
  covers,
  intersects,
  isLiteral,
  matches,
  rememberingMatcher,
} from './topic/pattern.ts';
export { PatternIndex } from './topic/pattern-index.ts';
export type { SchemaInput, SchemaOutput, SchemaResult, StandardSchema } from './topic/schema.ts';
export {
  describe,
  groupProblem,
  MAX_SEGMENTS,
  MAX_TOPIC_LENGTH,
  patternProblem,
  topicProblem,
} from './topic/topic.ts';
export { type AnyTopics, defineTopics, type Publishes, type Receives, type TopicsOf } from './topic/typed.ts';
