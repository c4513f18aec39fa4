import assert from 'node:assert/strict';
import { BusError } from '@ambus/core';

/** An error class of the bus. */
interface ErrorKind<E extends BusError> {
  readonly name: string;
  is(error: unknown): error is E;
}

/**
 * Holds that `work` fails with an error of `kind` whose text has all of `parts`, and returns it. Errors that are thrown at
 * once count as well, since not all calls are asynchronous.
 */
export async function rejection<E extends BusError>(
  kind: ErrorKind<E>,
  work: () => unknown,
  ...parts: readonly (string | RegExp)[]
): Promise<E> {
  let result: unknown;
  try {
    result = await work();
  } catch (error) {
    assert.ok(BusError.is(error), `a bare ${describe(error)} came in place of a ${kind.name}`);
    assert.ok(kind.is(error), `${describe(error)} is not a ${kind.name}`);
    for (const part of parts) {
      const found = typeof part === 'string' ? error.message.includes(part) : part.test(error.message);
      assert.ok(found, `"${error.message}" does not say ${part}`);
    }
    return error;
  }
  assert.fail(`it succeeded (${String(result)}), and should have failed with a ${kind.name}`);
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name} (${error.message})` : String(error);
}
