import { AssertionError } from 'node:assert';
import { inspect } from 'node:util';
import type { Message } from '@ambus/core';
import type { Match } from './match.ts';

/** Messages that an error lists. */
const LISTED = 10;

const show = (value: unknown): string =>
  inspect(value, {
    depth: 4,
    breakLength: Number.POSITIVE_INFINITY,
    maxStringLength: 200,
    maxArrayLength: 20,
  });

/** `"orders.*" matching { id: 1 }`. */
export function describeWanted(pattern: string, match: Match | undefined): string {
  if (match === undefined) return `"${pattern}"`;
  if (typeof match === 'function') return `"${pattern}" for which the function returns true`;
  return `"${pattern}" matching ${show(match)}`;
}

/** A line for each message, at most ten. */
export function listed(messages: readonly Message[]): string {
  if (messages.length === 0) return 'nothing';
  const lines = messages.slice(0, LISTED).map(({ topic, data }) => `\n  ${topic} ${show(data)}`);
  const more = messages.length - LISTED;
  return lines.join('') + (more > 0 ? `\n  … and ${more} more` : '');
}

/** Where a call came from, for an error that is thrown long after it. */
export function callSite(called: (...args: never[]) => unknown): { stack?: string } {
  const site: { stack?: string } = {};
  Error.captureStackTrace(site, called);
  return site;
}

/** The failed expectation, as every test runner knows it. Its stack is that of the call. */
export function failure(message: string, site: { stack?: string }): AssertionError {
  const error = new AssertionError({ message });
  const frames = site.stack?.split('\n').slice(1).join('\n');
  if (frames) error.stack = `${error.name}: ${message}\n${frames}`;
  return error;
}
