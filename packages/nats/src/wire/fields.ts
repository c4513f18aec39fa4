import type { Extensions, Headers } from '@ambus/core';
import { applicationHeaders, decodeHeaders, decodeText, EXTENSIONS } from './headers.ts';

/** What the header block of one message says. */
export interface Fields {
  readonly id: string | undefined;
  /** Milliseconds since the epoch. */
  readonly time: number | undefined;
  readonly shared: SharedFields;
}

/** What other messages may say as well, decoded once for all of them. */
class SharedFields {
  readonly #all: ReadonlyMap<string, string>;
  readonly extensions: Extensions | undefined;
  #headers: Headers | undefined | null = null;

  constructor(all: ReadonlyMap<string, string>) {
    this.#all = all;
    this.extensions = extensionsOf(all);
  }

  get(name: string): string | undefined {
    return this.#all.get(name);
  }

  /** The application's own. */
  get headers(): Headers | undefined {
    if (this.#headers === null) this.#headers = applicationHeaders(this.#all);
    return this.#headers;
  }
}

function extensionsOf(all: ReadonlyMap<string, string>): Extensions | undefined {
  let extensions: Record<string, string> | undefined;
  for (const [field, name] of EXTENSIONS) {
    const value = all.get(name);
    if (value === undefined) continue;
    extensions ??= {};
    extensions[field] = value;
  }
  return extensions === undefined ? undefined : (Object.freeze(extensions) as Extensions);
}

export const NO_FIELDS: Fields = { id: undefined, time: undefined, shared: new SharedFields(new Map()) };

/** How the blocks of this package begin: with what differs between the messages of a publisher. */
const START = 'NATS/1.0\r\nce-specversion: 1.0\r\nce-id: ';
const TIME = 'ce-time: ';

let lastRest: string | undefined;
let lastShared: SharedFields = NO_FIELDS.shared;

/** @param block - each character is a byte */
export function fieldsOf(block: string): Fields {
  if (block.startsWith(START)) {
    const idEnd = block.indexOf('\r\n', START.length);
    const timeStart = idEnd + 2;
    if (block.startsWith(TIME, timeStart)) {
      const timeEnd = block.indexOf('\r\n', timeStart);
      const rest = block.slice(timeEnd);
      if (rest !== lastRest) {
        lastShared = new SharedFields(decodeHeaders(rest));
        lastRest = rest;
      }
      return {
        id: decodeText(block.slice(START.length, idEnd)),
        time: timeOf(block.slice(timeStart + TIME.length, timeEnd)),
        shared: lastShared,
      };
    }
  }
  const shared = new SharedFields(decodeHeaders(block));
  return { id: shared.get('ce-id'), time: timeOf(shared.get('ce-time')), shared };
}

let lastText = '';
let lastTime: number | undefined;

/** Milliseconds since the epoch; undefined for what is no time. The messages of a moment have the same one. */
export function timeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (text === lastText) return lastTime;
  const time = Date.parse(text);
  lastText = text;
  lastTime = Number.isNaN(time) ? undefined : time;
  return lastTime;
}
