import { type BusError, ConnectionError, MessageTooLargeError, UnsupportedError } from '@ambus/core';

/** Kafka's error codes that this package acts on. */
export const Code = {
  offsetOutOfRange: 1,
  unknownTopic: 3,
  leaderNotAvailable: 5,
  notLeader: 6,
  requestTimedOut: 7,
  messageTooLarge: 10,
  offsetMetadataTooLarge: 12,
  coordinatorLoading: 14,
  coordinatorNotAvailable: 15,
  notCoordinator: 16,
  invalidTopic: 17,
  recordListTooLarge: 18,
  notEnoughReplicas: 19,
  notEnoughReplicasAfterAppend: 20,
  illegalGeneration: 22,
  unknownMember: 25,
  rebalanceInProgress: 27,
  topicAuthorization: 29,
  groupAuthorization: 30,
  clusterAuthorization: 31,
  topicExists: 36,
  notController: 41,
  outOfOrderSequence: 45,
  duplicateSequence: 46,
  invalidProducerEpoch: 47,
  invalidTransactionTimeout: 50,
  concurrentTransactions: 51,
  transactionalIdAuthorization: 53,
  storage: 56,
  unknownProducer: 59,
  nonEmptyGroup: 68,
  groupIdNotFound: 69,
  memberIdRequired: 79,
  fencedInstance: 82,
  unstableOffsetCommit: 88,
} as const;

const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(Code).map(([name, code]) => [code, name]));

/** Another try can help after a moment, perhaps elsewhere: leaders and coordinators move, replicas catch up. */
const PASSING: ReadonlySet<number> = new Set([
  Code.unknownTopic,
  Code.leaderNotAvailable,
  Code.notLeader,
  Code.requestTimedOut,
  8, // broker not available
  9, // replica not available
  13, // network exception
  Code.coordinatorLoading,
  Code.coordinatorNotAvailable,
  Code.notCoordinator,
  Code.notEnoughReplicas,
  Code.notEnoughReplicasAfterAppend,
  Code.notController,
  Code.storage,
  74, // fenced leader epoch
  75, // unknown leader epoch
  78, // offset not available
]);

const REFUSED: ReadonlySet<number> = new Set([
  Code.topicAuthorization,
  Code.groupAuthorization,
  Code.clusterAuthorization,
  Code.transactionalIdAuthorization,
]);

export function isPassing(code: number): boolean {
  return PASSING.has(code);
}

export function isRefusal(code: number): boolean {
  return REFUSED.has(code);
}

/** An error for a code of the server. */
export function serverError(code: number, doing: string, topic?: string): BusError {
  const context = { broker: 'kafka', topic };
  const name = NAMES.get(code) ?? 'unknown error';
  if (code === Code.messageTooLarge || code === Code.recordListTooLarge) {
    return new MessageTooLargeError(
      `${doing}: the server does not take a message of this size`,
      0,
      0,
      context,
    );
  }
  if (code === 35) return new UnsupportedError(`${doing}: the server is older than Kafka 2.8`, context);
  const retryable = isPassing(code) || !isRefusal(code);
  return new ConnectionError(`${doing}: the server answered "${name}" (${code})`, { ...context, retryable });
}

/** An error of the driver, without its own text where that could hold what it was given. */
export function driverError(error: unknown, doing: string): BusError {
  const {
    name = '',
    type = '',
    message = String(error),
  } = (error ?? {}) as Partial<Error> & { type?: string };
  const refused =
    /SASL|Authentication/i.test(name) ||
    /SASL|AUTHENTICATION/.test(type) ||
    /certificate|self.signed|unable to verify|alert|wrong version number|ssl/i.test(message);
  return new ConnectionError(
    `${doing}: ${refused && /SASL/i.test(name + type) ? 'the server refused the credentials' : message}`,
    {
      broker: 'kafka',
      cause: error,
      retryable: !refused,
    },
  );
}
