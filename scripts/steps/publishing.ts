import type { Packed } from '../packages.ts';
import { tool } from '../run.ts';
import { one, sum, type Tally } from '../tally.ts';

/** What publint and Are The Types Wrong say about the tarballs. */
export async function publishing(packages: Packed[]): Promise<Tally> {
  const checks = packages.flatMap(({ tarball }) => [
    tool('publint', 'publint', [tarball, '--strict']),
    // Only Node 10's resolution is left out: it knows no `exports`, and no supported runtime uses it.
    tool('@arethetypeswrong/cli', 'attw', [tarball, '--profile', 'node16', '--no-emoji', '--no-color']),
  ]);
  return sum((await Promise.all(checks)).map(one));
}
