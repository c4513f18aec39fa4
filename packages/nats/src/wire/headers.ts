import type { BusRecord, Extensions } from '@ambus/core';

/**
 * The header block of a NATS message, made and read by hand: the driver's own class trims values, changes names and costs
 * more than all else on a message's way.
 */

export const EXTENSIONS: readonly (readonly [field: keyof Extensions, name: string])[] = [
  ['delivery', 'ce-ambusdelivery'],
  ['retry', 'ce-ambusretry'],
  ['target', 'ce-ambustarget'],
  ['deadLetter', 'ce-ambusdeadletter'],
  ['error', 'ce-ambuserror'],
  ['responder', 'ce-ambusresponder'],
];
export const CONTENT_TYPE = 'content-type';
const ESCAPE = 'ambus_';
const NORMAL = 2;

const START = 'NATS/1.0\r\nce-specversion: 1.0\r\n';
const END = '\r\n';
/** What a header cannot carry, or what other clients would trim. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const ODD_VALUE = /[\x00-\x1f\x7f]|^\s|\s$/;
/** What a name may hold as it is (`token` of RFC 9110, without `%`, which escapes, and `*`, which marks escaped values). */
const PLAIN_NAME = /^[!#$&'+.^_`|~0-9A-Za-z-]+$/;
const NOT_PLAIN = /[^!#$&'+.^_`|~0-9A-Za-z-]/gu;
const SERVER_NAME = /^nats-/i;
/** As RFC 8187 marks a value that is percent-encoded, together with a `*` after the name. */
const ENCODED = "UTF-8''";

/** Behind so many characters a value is not remembered. */
const SHORT = 64;

/** Makes the lines of one name, and remembers the last: most values (source, type, times of a batch) repeat. */
function lines<T>(name: string, textOf: (value: T) => string): (value: T) => string {
  let last: T | undefined;
  let lastLine = '';
  return (value) => {
    if (value === last) return lastLine;
    const text = textOf(value);
    const made = line(name, text);
    if (text.length <= SHORT) {
      last = value;
      lastLine = made;
    }
    return made;
  };
}

const asIs = (text: string): string => text;
const asTime = (time: number): string => new Date(time).toISOString();

const TIME = lines('ce-time', asTime);
const SOURCE = lines('ce-source', asIs);
const TYPE = lines('ce-type', asIs);
const CONTENT = lines('content-type', asIs);
const REPLY_TO = lines('ce-ambusreplyto', asIs);
const EXPIRES = lines('ce-expirytime', asTime);

/** One line. */
function line(name: string, value: string): string {
  return ODD_VALUE.test(value)
    ? `${name}*: ${ENCODED}${encodeURIComponent(value)}\r\n`
    : `${name}: ${value}\r\n`;
}

function applicationName(name: string): string {
  const escaped =
    name.startsWith('ce-') || name === CONTENT_TYPE || name.startsWith(ESCAPE) ? ESCAPE + name : name;
  if (SERVER_NAME.test(escaped))
    return `%${escaped.charCodeAt(0).toString(16).toUpperCase()}${encodeName(escaped.slice(1))}`;
  return encodeName(escaped);
}

function encodeName(name: string): string {
  return PLAIN_NAME.test(name) ? name : name.replace(NOT_PLAIN, percent);
}

function percent(character: string): string {
  return [...Buffer.from(character)]
    .map((byte) => `%${byte.toString(16).padStart(2, '0').toUpperCase()}`)
    .join('');
}

/**
 * A record's metadata as a header block.
 *
 * @param more - finished lines for the server itself
 */
export function encodeHeaders(record: BusRecord, more = ''): string {
  // Field by field and without a loop: this runs for every message.
  const { source, type, key, contentType, replyTo, expiresAt, extensions, headers } = record;
  let text = `${START}${line('ce-id', record.id)}${TIME(record.time)}`;
  if (source !== undefined) text += SOURCE(source);
  if (type !== undefined) text += TYPE(type);
  if (contentType !== undefined) text += CONTENT(contentType);
  if (key !== undefined) text += line('ce-partitionkey', key);
  if (record.correlationId !== undefined) text += line('ce-correlationid', record.correlationId);
  if (record.causationId !== undefined) text += line('ce-causationid', record.causationId);
  if (replyTo !== undefined) text += REPLY_TO(replyTo);
  if (record.priority !== NORMAL) text += `ce-ambuspriority: ${record.priority}\r\n`;
  if (expiresAt !== undefined) text += EXPIRES(expiresAt);
  if (record.deliverAt !== undefined) text += line('ce-ambusdeliverat', asTime(record.deliverAt));
  if (record.dataSchema !== undefined) text += line('ce-dataschema', record.dataSchema);
  if (record.traceparent !== undefined) text += line('ce-traceparent', record.traceparent);
  if (record.tracestate !== undefined) text += line('ce-tracestate', record.tracestate);
  if (record.contentEncoding !== undefined) text += line('ce-ambusencoding', record.contentEncoding);
  if (record.deduplicationKey !== undefined) text += line('ce-ambusdeduplication', record.deduplicationKey);
  if (extensions !== undefined) {
    for (const [field, name] of EXTENSIONS) {
      const value = extensions[field];
      if (value !== undefined) text += line(name, value);
    }
  }
  if (headers !== undefined) {
    for (const name of Object.keys(headers)) text += line(applicationName(name), headers[name]!);
  }
  return text + more + END;
}

/**
 * The lines of a block by name, decoded. The server's own are left out. The first of several of a name counts.
 *
 * @param block - each character is a byte; what comes before the first line end is left out
 */
export function decodeHeaders(block: string): Map<string, string> {
  const headers = new Map<string, string>();
  const text = decodeText(block);
  let start = text.indexOf('\r\n') + 2;
  for (let end = text.indexOf('\r\n', start); end > start; end = text.indexOf('\r\n', start)) {
    const colon = text.indexOf(':', start);
    if (colon > start && colon < end) {
      const from = text.charCodeAt(colon + 1) === 0x20 ? colon + 2 : colon + 1;
      add(headers, text.slice(start, colon), text.slice(from, end));
    }
    start = end + 2;
  }
  return headers;
}

const STAR = 0x2a;
const C = 0x63;

function add(headers: Map<string, string>, written: string, value: string): void {
  // Most names are ours (`ce-…`, `content-type`) and need no look at what else they could be.
  if (written.charCodeAt(0) !== C && SERVER_NAME.test(written)) return;
  const isEncoded = written.charCodeAt(written.length - 1) === STAR && value.startsWith(ENCODED);
  const name = decodePercent(isEncoded ? written.slice(0, -1) : written);
  if (headers.has(name)) return;
  headers.set(name, isEncoded ? decodePercent(value.slice(ENCODED.length)) : value);
}

function decodePercent(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The application's headers, without what is ours. */
export function applicationHeaders(
  all: ReadonlyMap<string, string>,
): Readonly<Record<string, string>> | undefined {
  let own: [string, string][] | undefined;
  for (const [name, value] of all) {
    const isEscaped = name.startsWith(ESCAPE);
    if (!isEscaped && (name.startsWith('ce-') || name === CONTENT_TYPE)) continue;
    own ??= [];
    own.push([isEscaped ? name.slice(ESCAPE.length) : name, value]);
  }
  return own === undefined ? undefined : Object.freeze(Object.fromEntries(own));
}

/** What the server says by the first line of a block without a message: `503`, `Description`. Undefined for a message. */
export function statusOf(block: Uint8Array): { readonly code: number; readonly text: string } | undefined {
  // `NATS/1.0` and a space, three digits.
  if (block.length < 12 || block[8] !== 0x20) return undefined;
  const first = bufferOf(block).toString('latin1').split('\r\n', 1)[0]!;
  const code = Number(first.slice(9, 12));
  return Number.isNaN(code) ? undefined : { code, text: first.slice(13) };
}

/** One of the server's own headers, which `decodeHeaders` leaves out. */
export function serverHeader(block: Uint8Array, name: string): string | undefined {
  const text = bufferOf(block).toString('latin1');
  const at = text.indexOf(`\r\n${name}: `);
  if (at < 0) return undefined;
  const start = at + name.length + 4;
  return text.slice(start, text.indexOf('\r\n', start));
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: it looks for what is not ASCII
const ASCII = /^[\x00-\x7f]*$/;

/** Bytes as characters, read as UTF-8. */
export function decodeText(bytes: string): string {
  return ASCII.test(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString();
}

/** What came from a socket is a buffer already. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
