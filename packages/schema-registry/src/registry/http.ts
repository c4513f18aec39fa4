import { request as plain } from 'node:http';
import { request as secure } from 'node:https';
import { ConnectionError } from '@ambus/core';
import type { Endpoint, Settings } from './options.ts';

/** One call of the registry's API. */
export interface Call {
  readonly method: 'GET' | 'POST';
  /** Below the base path, without a slash before it. */
  readonly path: string;
  readonly body?: unknown;
  /** Older registries do not have this path: they answer 404 and no code of their own. */
  readonly newer?: boolean;
  /** Asks for what was just registered: a 404 comes from a member that has not heard of it yet. */
  readonly exists?: boolean;
}

/** What came back. A `status` of 404 with a code of the registry's, 409 or 422 is an answer, too. */
export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** Bytes of the longest answer that is read: no schema comes near it. */
const LONGEST = 16 * 1024 * 1024;

const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json';

/**
 * Makes one request, over a connection of its own: lookups are rare, as their answers are kept, and a connection that
 * lies idle for hours is often dead when it is needed.
 *
 * @param timeout - milliseconds
 * @throws {ConnectionError} when there is no answer that says something about the call; `retryable` where another try may
 * help
 */
export function send(endpoint: Endpoint, call: Call, tls: Settings['tls'], timeout: number): Promise<Answer> {
  const url = new URL(call.path, endpoint.url);
  const payload = call.body === undefined ? undefined : JSON.stringify(call.body);
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const fail = (what: string, cause?: unknown, retryable = true): void =>
    reject(
      new ConnectionError(`schema registry ${endpoint.url.origin}: ${call.method} ${url.pathname} ${what}`, {
        cause,
        retryable,
      }),
    );
  const headers: Record<string, string | number> = { accept: `${MEDIA_TYPE}, application/json` };
  if (endpoint.authorization !== undefined) headers.authorization = endpoint.authorization;
  if (payload !== undefined) {
    headers['content-type'] = MEDIA_TYPE;
    headers['content-length'] = Buffer.byteLength(payload);
  }
  let request: ReturnType<typeof plain>;
  try {
    const common = { method: call.method, headers, agent: false } as const;
    request = url.protocol === 'https:' ? secure(url, { ...common, ...tls }) : plain(url, common);
  } catch (cause) {
    // A certificate or a key that is none.
    fail(`cannot be made: ${(cause as Error).message}`, cause, false);
    return promise;
  }
  const timer = setTimeout(() => {
    fail(`had no answer within ${timeout} ms`);
    request.destroy();
  }, timeout);
  promise.catch(() => {}).finally(() => clearTimeout(timer));
  request.on('error', (cause) => fail(`failed: ${text(cause)}`, cause));
  request.on('response', (response) => {
    const chunks: Buffer[] = [];
    let size = 0;
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size <= LONGEST) return;
      fail(`was answered with more than ${LONGEST} bytes`, undefined, false);
      request.destroy();
    });
    response.on('error', (cause) => fail(`failed: ${text(cause)}`, cause));
    response.on('end', () => {
      const status = response.statusCode ?? 0;
      const body = parse(Buffer.concat(chunks).toString());
      const problem = statusProblem(status, body, call);
      if (problem === undefined) resolve({ status, body: body! });
      else fail(problem.text, undefined, problem.retryable);
    });
  });
  request.end(payload);
  return promise;
}

function parse(body: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** What makes an answer none. */
function statusProblem(
  status: number,
  body: Record<string, unknown> | undefined,
  { newer = false, exists = false }: Call,
): { text: string; retryable: boolean } | undefined {
  const said = typeof body?.message === 'string' ? `: ${body.message.slice(0, 500)}` : '';
  if (status === 401 || status === 403) {
    return { text: `was refused with ${status}, the credentials do not suffice${said}`, retryable: false };
  }
  if (status === 408 || status === 429 || status >= 500) {
    return { text: `was answered with ${status}${said}`, retryable: true };
  }
  // A gateway answers so while the registry behind it is away; the registry itself says what is missing: 40401, 40403.
  if (status === 404 && !/^404\d\d$/.test(String(body?.error_code)) && !(newer && body !== undefined)) {
    return {
      text: `was answered with 404 and no error_code 404xx, so by no schema registry${said}`,
      retryable: true,
    };
  }
  if (status === 404 && exists) {
    return { text: `was answered with 404 for what was just registered${said}`, retryable: true };
  }
  const isAnswer = (status >= 200 && status < 300) || [404, 409, 422].includes(status);
  if (!isAnswer) return { text: `was answered with ${status}${said}`, retryable: false };
  if (body === undefined) {
    return { text: `was answered with ${status} and no JSON: is this a schema registry?`, retryable: false };
  }
  return undefined;
}

/** An `AggregateError` of several addresses has no text of its own. */
function text(error: Error & { code?: string }): string {
  return error.message || error.code || error.name;
}
