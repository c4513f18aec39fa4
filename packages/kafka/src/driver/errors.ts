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
  invalidTimestamp: 32,
  topicExists: 36,
  invalidPartitions: 37,
  invalidReplicationFactor: 38,
  invalidConfig: 40,
  notController: 41,
  policyViolation: 44,
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
  invalidRecord: 87,
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

/** Another try is in vain. */
const LASTING: ReadonlySet<number> = new Set([
  Code.invalidTimestamp,
  Code.invalidPartitions,
  Code.invalidReplicationFactor,
  Code.invalidConfig,
  Code.policyViolation,
  Code.invalidRecord,
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
  if (code === 35) return new UnsupportedError(`${doing}: the server is older than Kafka 3.0`, context);
  const retryable = isPassing(code) || !(isRefusal(code) || LASTING.has(code));
  return new ConnectionError(`${doing}: the server answered "${name}" (${code})`, { ...context, retryable });
}

/**
 * Of a TLS connection that will never stand, as Node tells it by code: who the other is, or what it speaks. One that was
 * only cut while it was being made is not among them.
 */
const TLS_REFUSED =
  /^(ERR_SSL_(?!UNEXPECTED_EOF)|ERR_TLS_(?!HANDSHAKE_TIMEOUT)|EPROTO$|CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED)/;

/** What the driver calls an error that the server, or its own check of what is to be sent, has said. */
const SAID = /^KafkaJS(Protocol|SASLAuthentication)Error$/;

/**
 * An error of the driver.
 *
 * @param login - whether it came of logging in: then only what somebody said is a refusal, and its text is left out, since
 *   that could hold what it was given
 */
export function driverError(error: unknown, doing: string, login = false): BusError {
  const { name = '', code, message = String(error) } = (error ?? {}) as Partial<NodeJS.ErrnoException>;
  const refused = login && SAID.test(name);
  return new ConnectionError(`${doing}: ${refused ? 'the server refused the credentials' : message}`, {
    broker: 'kafka',
    cause: error,
    retryable: !refused && !TLS_REFUSED.test(code ?? ''),
  });
}
