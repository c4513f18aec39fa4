import { BusError, ConfigError, ConnectionError, type ErrorContext } from '@ambus/core';

const BROKER = 'redis';

/** The server refuses the account: trying again changes nothing. */
const REFUSED = /\b(?:WRONGPASS|NOAUTH|invalid password|Client sent AUTH|user is disabled)/i;
/** In general, and from within a script: in the words of 7.0, and of those since. */
const FORBIDDEN = /\bNOPERM\b|user executing the script can't|ACL failure in script/;
/** The server answers, and will take it later or elsewhere. */
const PASSING =
  /^(?:READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|BUSY|OOM|MISCONF|NOREPLICAS|NOSCRIPT|UNBLOCKED)\b/;
/** The driver's own words for a connection that is not there any more. */
const BROKEN =
  /Connection is closed|isn't writeable|aborted due to connection|ECONN|EPIPE|ETIMEDOUT|All sentinels are unreachable|Failed to refresh slots|None of startup nodes|Cluster isn't ready/i;

/** As the driver passes it on, or after it has followed the cluster's directions often enough. */
const DIRECTIONS = '^(?:Too many Cluster redirections\\. Last error: (?:ReplyError: )?)?';
const MOVING = new RegExp(`${DIRECTIONS}(?:MOVED|ASK|TRYAGAIN|CLUSTERDOWN)\\b`);
const MISDIRECTED = new RegExp(
  `${DIRECTIONS}(?:READONLY|MASTERDOWN|MOVED|ASK|TRYAGAIN|CLUSTERDOWN|LOADING|UNBLOCKED)\\b`,
);

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Whether it is the connection that failed, so that nobody knows what became of the call. */
export function isBroken(error: unknown): boolean {
  return BROKEN.test(messageOf(error));
}

/** Whether the server does not take the account: nothing was done. Of a cluster's node, it may be one dialled with an old password. */
export function isRefused(error: unknown): boolean {
  return REFUSED.test(messageOf(error));
}

/** Whether the server this was sent to is not the one to ask any more: a failover, a node that left. */
export function isMisdirected(error: unknown): boolean {
  return MISDIRECTED.test(messageOf(error));
}

/** Whether a cluster is moving the slot: nothing was done, and it will be taken in a moment. */
export function isMoving(error: unknown): boolean {
  return MOVING.test(messageOf(error));
}

/** Whether the server will take it later, or another one: nothing was done. */
export function isPassing(error: unknown): boolean {
  return PASSING.test(messageOf(error));
}

export function isMissingScript(error: unknown): boolean {
  return messageOf(error).startsWith('NOSCRIPT');
}

/** What the driver or the server said, as one of the bus's errors. Never holds what was sent: that may be a secret. */
export function toBusError(error: unknown, context: ErrorContext = {}): BusError {
  if (BusError.is(error)) return error;
  const message = messageOf(error);
  const about = { broker: BROKER, ...context, cause: withoutArguments(error) };
  if (REFUSED.test(message)) {
    return new ConnectionError(`the server refuses the account: ${message}`, { ...about, retryable: false });
  }
  if (FORBIDDEN.test(message)) {
    const what = context.topic === undefined ? '' : ` with "${context.topic}"`;
    return new ConfigError(`the account may not do this${what}: ${message}`, about);
  }
  if (/cluster support disabled/.test(message)) {
    return new ConfigError(
      `the server is not a node of a cluster; give its url as redis:// or rediss://`,
      about,
    );
  }
  if (PASSING.test(message)) return new ConnectionError(`the server cannot take this now: ${message}`, about);
  if (/certificate|self.signed|TLS|SSL|ERR_TLS/i.test(message)) {
    return new ConnectionError(`no secure connection to the server: ${message}`, {
      ...about,
      retryable: false,
    });
  }
  return new ConnectionError(message, about);
}

/** The driver hangs the command with its arguments on an error: an AUTH's would be the password. */
export function withoutArguments(error: unknown): unknown {
  if (error instanceof Error) Reflect.deleteProperty(error, 'command');
  return error;
}
