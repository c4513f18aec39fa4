import { join } from 'node:path';
import { ConnectionError } from '@ambus/core';
import { installed } from '../cache/install.ts';
import type { NativePrograms, NodePlan } from '../kind.ts';
import { type Java, java } from '../native/java.ts';
import { mavenJars } from '../native/maven.ts';
import { localMachine } from '../process/local-machine.ts';
import { until } from '../process/until.ts';
import type { KafkaServerOptions } from './options.ts';
import { kafkaRelease, planKafka } from './plan.ts';

/** Milliseconds that a first start may take. */
const PATIENCE = 120_000;

/** Of two cores and many servers: start quickly, stay small, be no faster than tests need. */
const JVM = [
  ...['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xmx512m', '-Xshare:auto'],
  ...['-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-Djava.awt.headless=true'],
];

/**
 * Formats the data directory unless it is; then the shell becomes the server, so that a signal reaches it. The command
 * line of Java comes before `--`, and further arguments of the server after it.
 */
const SCRIPT = `java=
while [ "$1" != -- ]; do java="$java '$1'"; shift; done
shift
[ -e data/meta.properties ] || eval "$java kafka.tools.StorageTool format $FORMAT -c server.properties" || exit 1
eval "exec $java kafka.Kafka server.properties "$@""`;

/** Kafka from Maven Central. */
export async function nativeKafka(options: KafkaServerOptions): Promise<NativePrograms> {
  const release = kafkaRelease(options);
  const found = await java();
  const jars = await installed(`kafka-${release}`, (directory) =>
    mavenJars(found, directory, [`org.apache.kafka:kafka_2.13:${release}`, 'org.slf4j:slf4j-simple:1.7.36']),
  );
  const classes = ['-cp', join(jars, '*')];
  const archive = await installed(`kafka-${release}-java${found.major}`, (directory) =>
    archiveClasses(found, classes, directory),
  );
  const shared = `-XX:SharedArchiveFile=${join(archive, 'classes.jsa')}`;
  return (_program, args) => ({ command: command(found, [shared, ...classes], args) });
}

const command = ({ path }: Java, options: readonly string[], args: readonly string[]): string[] => [
  ...['/bin/sh', '-c', SCRIPT, 'kafka', path, ...JVM, ...options, '--', ...args],
];

/** A broker that ran once leaves its loaded classes to the later ones, which then start in half the time. */
async function archiveClasses(found: Java, classes: readonly string[], directory: string): Promise<void> {
  const [node] = (await planKafka({}, '127.0.0.1')).nodes as [NodePlan];
  const archive = `-XX:ArchiveClassesAtExit=${join(directory, 'classes.jsa')}`;
  const machine = localMachine({
    command: command(found, [archive, ...classes], []),
    env: node.env ?? {},
    directory: join(directory, 'run'),
    files: node.files,
  });
  try {
    await machine.start();
    await until(node.ready, PATIENCE, async () => {
      if (!(await machine.alive())) throw new ConnectionError('kafka has ended');
    });
    await machine.signal('SIGTERM');
  } finally {
    await machine.remove();
  }
}
