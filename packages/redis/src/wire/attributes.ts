import type { Extensions, Headers, PriorityLevel } from '@ambus/core';
import { EXTENSIONS, PRIORITY, START } from './encode.ts';

const TIME_START = '","time":"';
/** `2026-01-31T12:00:00.123Z` */
const TIME_LENGTH = 24;
const QUOTE = 34;

const extensionEntries = Object.entries(EXTENSIONS) as [keyof Extensions, string][];

/** Attributes as they came, whoever wrote them: decoded once, and for all messages that have the same. */
class Attributes {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly priority: PriorityLevel;
  readonly extensions: Extensions | undefined;
  #headers: Headers | undefined;
  #hasHeaders: boolean;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
    const priority = this.text(PRIORITY);
    this.priority =
      priority !== undefined && /^[0-4]$/.test(priority) ? (Number(priority) as PriorityLevel) : 2;
    this.extensions = this.#extensions();
    this.#hasHeaders = typeof values.headers === 'object' && values.headers !== null;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }

  /** Frozen, and strings only. */
  get headers(): Headers | undefined {
    if (this.#hasHeaders) {
      const own = Object.entries(this.#values.headers as object).filter(
        (entry): entry is [string, string] => typeof entry[1] === 'string',
      );
      this.#headers = own.length === 0 ? undefined : Object.freeze(Object.fromEntries(own));
      this.#hasHeaders = false;
    }
    return this.#headers;
  }

  #extensions(): Extensions | undefined {
    let found: Record<string, string> | undefined;
    for (const [field, name] of extensionEntries) {
      const value = this.text(name);
      if (value === undefined) continue;
      found ??= {};
      found[field] = value;
    }
    return found as Extensions | undefined;
  }
}

const NONE = new Attributes({});

function parse(json: string): Attributes {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null
      ? new Attributes(value as Record<string, unknown>)
      : NONE;
  } catch {
    return NONE;
  }
}

/** What messages of one publisher have in common is parsed once. */
let lastRest = '}';
let lastAttributes = NONE;

/** The metadata of a message. */
export class Meta {
  readonly id: string | undefined;
  readonly #time: string | undefined;
  readonly #attributes: Attributes;

  constructor(text: string) {
    const idEnd = text.startsWith(START) ? text.indexOf('"', START.length) : -1;
    const timeAt = idEnd + TIME_START.length;
    const end = timeAt + TIME_LENGTH;
    // As written by ours, with an id that needs no escapes: anything else is read as the JSON that it is.
    if (idEnd > 0 && text.startsWith(TIME_START, idEnd) && text.charCodeAt(end) === QUOTE) {
      const id = text.slice(START.length, idEnd);
      if (!id.includes('\\')) {
        this.id = id;
        this.#time = text.slice(timeAt, end);
        const rest = text.slice(end + 1);
        if (rest !== lastRest) {
          lastAttributes = rest === '}' ? NONE : parse(`{${rest.slice(1)}`);
          lastRest = rest;
        }
        this.#attributes = lastAttributes;
        return;
      }
    }
    this.#attributes = parse(text);
    this.id = this.text('id');
    this.#time = this.text('time');
  }

  /** Milliseconds since the epoch; undefined where none was given. */
  get time(): number | undefined {
    return toTime(this.#time);
  }

  text(name: string): string | undefined {
    return this.#attributes.text(name);
  }

  date(name: string): number | undefined {
    return toTime(this.text(name));
  }

  get priority(): PriorityLevel {
    return this.#attributes.priority;
  }
  get headers(): Headers | undefined {
    return this.#attributes.headers;
  }
  get extensions(): Extensions | undefined {
    return this.#attributes.extensions;
  }
}

/** Milliseconds since the epoch; undefined for what is no date. */
function toTime(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}
