import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { mutations } from './mutations.ts';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Which case of `cases` fails first; empty when none does. */
async function firstFailure(cases: string, mutation: object | undefined): Promise<string> {
  const preload = mutation === undefined ? [] : ['--import', here('./preload.ts')];
  const { AMBUS_MUTATION: _, ...rest } = process.env;
  const env = mutation === undefined ? rest : { ...rest, AMBUS_MUTATION: JSON.stringify(mutation) };
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--conditions=@ambus/source', ...preload, here('./run-suite.ts'), cases],
    { env, timeout: 110_000 },
  );
  return stdout.trim();
}

describe('the suite notices when core breaks a guarantee', () => {
  it('and nothing else', { timeout: 120_000 }, async () => {
    expect(await firstFailure('', undefined)).toBe('');
  });

  it.concurrent.each(mutations)('$guarantee', { timeout: 70_000 }, async (mutation) => {
    expect(await firstFailure(mutation.cases, mutation)).not.toBe('');
  });
});
