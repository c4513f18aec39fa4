import type { Field, MapField } from 'protobufjs';
import type { ProtobufCodec } from './parse.ts';

/** By number, which is what a field is on the wire; its name may change. */
export function protobufFields({ root, messages }: ProtobufCodec): Map<string, string> {
  const found = new Map<string, string>();
  for (const message of messages.values()) {
    found.set(message, 'message');
    for (const field of root.lookupType(message).fieldsArray) {
      found.set(`${message}.${field.id}`, `${kindOf(field)} ${field.name} = ${field.id}`);
    }
  }
  return found;
}

function kindOf(field: Field): string {
  const type = field.resolvedType?.fullName.slice(1) ?? field.type;
  if (field.map) return `map<${(field as Field & MapField).keyType}, ${type}>`;
  return field.repeated ? `repeated ${type}` : field.required ? `required ${type}` : type;
}
