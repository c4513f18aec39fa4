import { cp, mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from '../../src/servers/cache/directory.ts';
import { installed } from '../../src/servers/cache/install.ts';
import { unpackDebian } from '../../src/servers/native/apt.ts';
import { nativeNats } from '../../src/servers/nats/native.ts';
import { workDirectory } from '../../src/servers/process/guard.ts';
import { localMachine } from '../../src/servers/process/local-machine.ts';
import { run } from '../../src/servers/process/run.ts';
import { until } from '../../src/servers/process/until.ts';
import { nativeRedis } from '../../src/servers/redis/native.ts';

/** A Docker for tests. */
export interface TestDocker {
  /** Whose images it has: those of the registry, or ours of the same binaries as the native way. */
  readonly images: 'public' | 'local';
  /** What testcontainers finds it by. */
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** Why no Docker can be had here: only for a computer on which none can be expected. */
export async function noDocker(): Promise<string | undefined> {
  if (await hasDocker()) return undefined;
  if (process.platform !== 'linux') return 'Docker does not run, and can only be brought along on Linux';
  return process.getuid?.() === 0 ? undefined : 'Docker does not run, and only root can start one';
}

const hasDocker = (): Promise<boolean> =>
  run('docker', ['info'], { timeout: 2_000 }).then(
    () => true,
    () => false,
  );

/** The computer's Docker, or one of Debian's packages that knows no registry. */
export async function testDocker(): Promise<TestDocker> {
  if (await hasDocker()) return { images: 'public', env: {}, close: async () => {} };
  const root = await installed(`docker-bookworm-${process.arch}`, (directory) =>
    unpackDebian(directory, 'bookworm', ['docker.io', 'containerd', 'runc']),
  );
  const directory = join(workDirectory(), 'docker');
  const socket = `unix://${join(directory, 'docker.sock')}`;
  const bin = ['usr/bin', 'usr/sbin'].map((folder) => join(root, folder));
  const env = { PATH: [...bin, process.env.PATH].join(':'), DOCKER_HOST: socket };
  const daemon = localMachine({
    command: [
      join(root, 'usr/sbin/dockerd'),
      ...['--host', socket, '--iptables=false', '--pidfile', 'docker.pid'],
      ...['--data-root', join(directory, 'data'), '--exec-root', join(directory, 'exec')],
    ],
    env,
    directory,
    files: {},
  });
  await daemon.start();
  const docker = (...args: string[]) => run('docker', args, { env });
  try {
    await until(
      () => docker('info'),
      30_000,
      async () => {
        if (!(await daemon.alive())) throw new Error('dockerd has ended');
      },
    );
    await makeImages(directory, docker);
  } catch (error) {
    const log = await daemon.log();
    await daemon.remove();
    throw new Error(`no Docker:\n${log.slice(-3_000)}`, { cause: error });
  }
  return {
    images: 'local',
    env: {
      DOCKER_HOST: socket,
      TESTCONTAINERS_RYUK_DISABLED: 'true',
      TESTCONTAINERS_HOST_OVERRIDE: '127.0.0.1',
    },
    async close() {
      await daemon.signal('SIGTERM');
      await daemon.remove();
    },
  };
}

/** Images of the binaries that the native way uses, under the names of the public ones. */
async function makeImages(directory: string, docker: (...args: string[]) => Promise<string>): Promise<void> {
  await nativeRedis({ version: '8' });
  await nativeNats();
  const cache = cacheDirectory();
  const names = await readdir(cache);
  const cached = (start: string) => join(cache, names.find((name) => name.startsWith(start)) as string);

  const redis = join(directory, 'redis');
  await mkdir(redis, { recursive: true });
  await cp(join(cached('redis-trixie-'), 'usr'), join(redis, 'usr'), {
    recursive: true,
    verbatimSymlinks: true,
  });
  // Debian has these links in another package, and programs name their loader by them.
  for (const folder of ['lib', 'lib64', 'bin']) await symlink(`usr/${folder}`, join(redis, folder));

  for (const [from, tag] of [
    [redis, 'redis:8-alpine'],
    [cached('nats-2.15'), 'nats:2'],
  ] as const) {
    const archive = join(directory, 'image.tar');
    await run('tar', ['-C', from, '-cf', archive, '.']);
    await docker('import', '--change', 'ENV PATH=/usr/bin:/bin', archive, tag);
  }
}
