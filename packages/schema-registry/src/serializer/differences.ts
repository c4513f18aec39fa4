/** A field in which two schemas differ, in words. */
export interface Difference {
  readonly field: string;
  readonly text: string;
}

/** What a schema has changed. */
export function differences(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): Difference[] {
  const found: Difference[] = [];
  const add = (field: string, what: string): void =>
    void found.push({ field, text: `${field === '' ? 'the schema' : `field "${field}"`} ${what}` });
  for (const [field, is] of after) {
    const was = before.get(field);
    if (was === undefined) add(field, `was added (${is})`);
    else if (was !== is) add(field, `was ${was}, and is ${is}`);
  }
  for (const [field, was] of before) if (!after.has(field)) add(field, `was removed (${was})`);
  return found;
}
