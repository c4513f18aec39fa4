import type { AvroField, AvroType } from './library.ts';

/** What else than itself a primitive type may have been written as, by Avro's rules. */
const PROMOTED: Readonly<Record<string, readonly string[]>> = {
  'abstract:long': ['int'],
  float: ['int', 'abstract:long'],
  double: ['int', 'abstract:long', 'float'],
  string: ['bytes'],
  bytes: ['string'],
};

/** Whether values of one type may be read as another, neither of them a union, as far as the types themselves say it. */
export function fits(written: AvroType, own: AvroType): boolean {
  if (written === own) return true;
  const isSame = written.typeName === own.typeName || (isRecord(written) && isRecord(own));
  if (!isSame) return PROMOTED[own.typeName]?.includes(written.typeName) ?? false;
  if (own.typeName === 'fixed' && written.size !== own.size) return false;
  return written.name === undefined || written.name === own.name || own.aliases.includes(written.name);
}

/** The branch of a union that a type is read as: the same if there is one, so that a long stays one beside a double. */
export const branchFor = (written: AvroType, union: AvroType): AvroType | undefined =>
  union.types.find(({ branchName }) => branchName === written.branchName) ??
  union.types.find((branch) => fits(written, branch));

/** The field of a written record that an own field is read from: that of its name, else of one of its former names. */
export function sourceOf(written: AvroType, { name, aliases }: AvroField): AvroField | undefined {
  const same = written.field(name);
  if (same !== undefined) return same;
  const alias = aliases.find((former) => written.field(former) !== undefined);
  return alias === undefined ? undefined : written.field(alias);
}

const isRecord = ({ typeName }: AvroType): boolean => typeName === 'record' || typeName === 'error';
