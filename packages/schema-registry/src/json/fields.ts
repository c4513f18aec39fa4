import type { JsonCodec } from './compile.ts';

/** Deep enough for any schema; not all are trees. */
const MAX_DEPTH = 50;

/** The properties of a schema by their path, as far as they are written out in it. */
export function jsonFields({ schema }: JsonCodec): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (one: unknown, path: readonly string[]): void => {
    const { properties, items, required } = Object(one) as Record<string, unknown>;
    if (path.length > MAX_DEPTH) return;
    for (const [name, property] of Object.entries(Object(properties) as object)) {
      const place = [...path, name];
      const isRequired = Array.isArray(required) && required.includes(name);
      found.set(place.join('.'), kindOf(property) + (isRequired ? ', required' : ''));
      walk(property, place);
    }
    if (items !== undefined) walk(items, path);
  };
  walk(schema, []);
  if (found.size === 0) found.set('', kindOf(schema));
  return found;
}

/** What a property is, but for its own properties, which are told apart. */
function kindOf(schema: unknown): string {
  const { properties, items, required, title, description, type, ...rest } = Object(schema) as Record<
    string,
    unknown
  >;
  const name = type === undefined ? 'anything' : [type].flat().join(' or ');
  return Object.keys(rest).length === 0 ? name : `${name} ${JSON.stringify(rest).slice(0, 200)}`;
}
