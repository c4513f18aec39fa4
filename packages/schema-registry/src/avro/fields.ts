import type { AvroType } from './library.ts';
import type { AvroCodec } from './parse.ts';

/** The fields of a schema by their path, each with what it is. */
export function avroFields(codec: AvroCodec): Map<string, string> {
  const found = new Map<string, string>();
  const seen = new Set<string>();

  const walk = (one: AvroType, path: readonly string[]): void => {
    if (one.typeName === 'array') walk(one.itemsType, path);
    else if (one.typeName === 'map') walk(one.valuesType, path);
    else if (one.typeName === 'union:wrapped') for (const branch of one.types) walk(branch, path);
    else if ((one.typeName === 'record' || one.typeName === 'error') && !seen.has(one.name!)) {
      seen.add(one.name!);
      for (const field of one.fields) {
        const place = [...path, field.name];
        found.set(
          place.join('.'),
          nameOf(field.type, codec) + (field.defaultValue() === undefined ? ', no default' : ''),
        );
        walk(field.type, place);
      }
    }
  };
  walk(codec.type, []);
  if (found.size === 0) found.set('', nameOf(codec.type, codec));
  return found;
}

/** What a type is, in words. */
export function nameOf(type: AvroType, codec: AvroCodec): string {
  const meaning = codec.logical.get(type);
  if (meaning !== undefined) {
    return meaning.kind === 'decimal' ? `decimal(${meaning.precision}, ${meaning.scale})` : meaning.kind;
  }
  switch (type.typeName) {
    case 'abstract:long':
      return 'long';
    case 'array':
      return `array of ${nameOf(type.itemsType, codec)}`;
    case 'map':
      return `map of ${nameOf(type.valuesType, codec)}`;
    case 'enum':
      return `enum ${type.name} of ${type.symbols.join(', ')}`;
    case 'fixed':
      return `fixed ${type.name} of ${type.size} bytes`;
    case 'union:wrapped':
      return type.types.map((branch) => nameOf(branch, codec)).join(' or ');
    default:
      return type.name ?? type.typeName;
  }
}
