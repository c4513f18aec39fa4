import type { AvroType } from './library.ts';
import type { AvroCodec } from './parse.ts';

/** The fields of a schema by their path, each with what it is. */
export function avroFields({ type, logical }: AvroCodec): Map<string, string> {
  const found = new Map<string, string>();
  const seen = new Set<string>();

  const name = (one: AvroType): string => {
    const meaning = logical.get(one);
    if (meaning !== undefined) {
      return meaning.kind === 'decimal' ? `decimal(${meaning.precision}, ${meaning.scale})` : meaning.kind;
    }
    switch (one.typeName) {
      case 'abstract:long':
        return 'long';
      case 'array':
        return `array of ${name(one.itemsType)}`;
      case 'map':
        return `map of ${name(one.valuesType)}`;
      case 'enum':
        return `enum ${one.name} of ${one.symbols.join(', ')}`;
      case 'fixed':
        return `fixed ${one.name} of ${one.size} bytes`;
      case 'union:wrapped':
        return one.types.map(name).join(' or ');
      default:
        return one.name ?? one.typeName;
    }
  };

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
          name(field.type) + (field.defaultValue() === undefined ? ', no default' : ''),
        );
        walk(field.type, place);
      }
    }
  };
  walk(type, []);
  if (found.size === 0) found.set('', name(type));
  return found;
}
