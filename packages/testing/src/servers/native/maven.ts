import { rm, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { run } from '../process/run.ts';
import type { Java } from './java.ts';

const PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1';

const pom = (artifacts: readonly string[]): string => {
  const dependencies = artifacts.map((artifact) => {
    const [group, name, version] = artifact.split(':');
    return `<dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`;
  });
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>ambus</groupId><artifactId>server</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>${dependencies.join('\n')}</dependencies></project>`;
};

/** Puts the jars of `group:name:version` artifacts, and of all that they need, into `directory`. */
export async function mavenJars(java: Java, directory: string, artifacts: readonly string[]): Promise<void> {
  const file = join(directory, 'pom.xml');
  await writeFile(file, pom(artifacts));
  await maven(java, directory, [
    ...['-f', file, `${PLUGIN}:copy-dependencies`],
    ...['-DoutputDirectory=.', '-DincludeScope=runtime'],
  ]);
  await rm(file);
}

/** Unpacks one archive, `group:name:version:type:classifier`, into `directory`. */
export const mavenArchive = (java: Java, directory: string, artifact: string): Promise<void> =>
  maven(java, directory, [`${PLUGIN}:unpack`, `-Dartifact=${artifact}`, `-DoutputDirectory=${directory}`]);

async function maven({ path }: Java, cwd: string, args: readonly string[]): Promise<void> {
  // One that is not on the path would not be found.
  const env: Record<string, string> = isAbsolute(path) ? { JAVA_HOME: dirname(dirname(path)) } : {};
  await run('mvn', ['-q', '-B', ...args], { cwd, env });
}
