import { SerializationError } from '@ambus/core';
import type { Ajv, ErrorObject } from 'ajv';
import type { CompleteSchema } from '../registry/schema.ts';
import { placeIn } from '../serializer/place.ts';
import type { Ajvs } from './library.ts';

/** A schema as a function that refuses what does not match it. */
export interface JsonCodec {
  readonly schema: unknown;
  readonly title: string | undefined;
  /** @throws {SerializationError} naming what is wrong, and where */
  assert(value: unknown): void;
}

/** Told in one error; a list of thousands has as many. */
const MOST_TOLD = 5;

export function compile(ajvs: Ajvs, { text, parts }: CompleteSchema): JsonCodec {
  const schema: unknown = JSON.parse(text);
  const ajv = ajvFor(ajvs, schema);
  for (const { name, text: part } of parts) add(ajv, name, JSON.parse(part), idOf(schema));
  const validate = ajv.compile(schema as object);
  const { title } = Object(schema) as { title?: unknown };
  return {
    schema,
    title: typeof title === 'string' && title !== '' ? title : undefined,
    assert(value) {
      if (validate(value)) return;
      const errors = validate.errors ?? [];
      const more = errors.length > MOST_TOLD ? `, and ${errors.length - MOST_TOLD} more` : '';
      throw new SerializationError(errors.slice(0, MOST_TOLD).map(tell).join(', ') + more);
    },
  };
}

/** The draft is what `$schema` says, and draft 7, which most registries hold, where it says nothing. */
function ajvFor(ajvs: Ajvs, schema: unknown): Ajv {
  const { $schema: draft = '' } = Object(schema) as { $schema?: unknown };
  const Class = String(draft).includes('2020-12')
    ? ajvs.draft2020
    : String(draft).includes('2019-09')
      ? ajvs.draft2019
      : ajvs.draft7;
  if (/draft-0[346]\b/.test(String(draft))) {
    throw new Error(`its draft ${draft} is not supported; 7, 2019-09 and 2020-12 are`);
  }
  // By the standard a format is a note for readers, unless a validator is told otherwise.
  return new Class({
    strict: false,
    allErrors: true,
    validateFormats: false,
    logger: false,
    code: { regExp: lenient },
  });
}

/** Other validators have no unicode mode, and there needless escapes such as `\-` are patterns, too. */
const lenient = Object.assign(
  (pattern: string, flags: string): RegExp => {
    try {
      return new RegExp(pattern, flags);
    } catch {
      return new RegExp(pattern);
    }
  },
  // For code that is written to a file, which this never is.
  { code: 'new RegExp' },
);

/** Under the name that `$ref` says, and under what that is relative to the schema that says it. */
function add(ajv: Ajv, name: string, schema: unknown, base: string | undefined): void {
  const keys = new Set([name, base === undefined ? name : resolve(ajv, base, name)]);
  const own = idOf(schema);
  if (own !== undefined && !keys.has(own)) ajv.addSchema(schema as object, own);
  for (const key of keys)
    if (ajv.getSchema(key) === undefined) ajv.addSchema({ ...Object(schema), $id: key }, key);
}

/** A relative `$id` has relative ones beside it, by ajv's rules; a urn has none. */
const resolve = (ajv: Ajv, base: string, name: string): string =>
  URL.canParse(base) ? (URL.parse(name, base)?.href ?? name) : ajv.opts.uriResolver.resolve(base, name);

const idOf = (schema: unknown): string | undefined => {
  const { $id: id } = Object(schema) as { $id?: unknown };
  return typeof id === 'string' ? id : undefined;
};

function tell({ instancePath, message = '', params }: ErrorObject): string {
  const path = instancePath
    .split('/')
    .slice(1)
    .map((key) => (/^\d+$/.test(key) ? Number(key) : key.replaceAll('~1', '/').replaceAll('~0', '~')));
  const { missingProperty, additionalProperty, unevaluatedProperty, allowedValues } = params as {
    missingProperty?: string;
    additionalProperty?: string;
    unevaluatedProperty?: string;
    allowedValues?: unknown[];
  };
  if (missingProperty !== undefined) return `${placeIn([...path, missingProperty])} is missing`;
  const extra = additionalProperty ?? unevaluatedProperty;
  if (extra !== undefined) return `${placeIn([...path, extra])} is not in the schema`;
  return `${placeIn(path)} ${message}${allowedValues === undefined ? '' : ` (${allowedValues.join(', ')})`}`;
}
