import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '@ambus/core';
import { installed } from '../cache/install.ts';
import type { NativePrograms } from '../kind.ts';
import { unpackDebian } from '../native/apt.ts';
import { run } from '../process/run.ts';
import type { RedisServerOptions } from './options.ts';

/** What a server of Debian 12 and later is linked with, its libc included: it then runs on any Linux. */
const LIBRARIES = [
  ...['libc6', 'libgcc-s1', 'libstdc++6', 'libatomic1', 'libjemalloc2', 'liblzf1', 'libsystemd0', 'libcap2'],
  ...['liblzma5', 'liblz4-1', 'libzstd1', 'zlib1g'],
];

const RELEASES = {
  7: {
    suite: 'bookworm',
    program: 'redis',
    packages: ['libssl3', 'libgcrypt20', 'libgpg-error0', 'liblua5.1-0', 'lua-cjson', 'lua-bitop'],
  },
  8: { suite: 'trixie', program: 'redis', packages: ['libssl3t64'] },
  valkey: { suite: 'forky', program: 'valkey', packages: ['libssl3t64'] },
} as const;

const ARCHITECTURES: Record<string, readonly [directory: string, loader: string]> = {
  x64: ['x86_64-linux-gnu', 'ld-linux-x86-64.so.2'],
  arm64: ['aarch64-linux-gnu', 'ld-linux-aarch64.so.1'],
};

/** `redis-server` of the path where no version is asked for; else Debian's, in the cache. */
export async function nativeRedis({ version }: RedisServerOptions): Promise<NativePrograms> {
  if (version === undefined && (await isOnPath())) {
    return (program, args) => ({ command: [program, ...args] });
  }
  const { suite, program: name, packages } = RELEASES[version ?? '7'];
  const [libraries, loader] = ARCHITECTURES[process.arch] ?? [];
  if (process.platform !== 'linux' || libraries === undefined || loader === undefined) {
    throw new ConfigError(
      'Redis can be downloaded for Linux on x64 and arm64: install redis-server, or use Docker',
    );
  }
  const root = await installed(`${name}-${suite}-${process.arch}`, (directory) =>
    unpackDebian(directory, suite, [`${name}-server`, `${name}-tools`, ...packages, ...LIBRARIES]),
  );
  const folders = [`lib/${libraries}`, `usr/lib/${libraries}`].map((folder) => join(root, folder));
  const own = await firstThere(folders.map((folder) => join(folder, loader)));
  return (program, args) => ({
    command: [
      own,
      '--library-path',
      folders.join(':'),
      join(root, 'usr/bin', program.replace('redis', name)),
      ...args,
    ],
  });
}

/** Older ones than 7 know neither the ports nor the commands of a cluster that we use. */
async function isOnPath(): Promise<boolean> {
  const text = await run('redis-server', ['--version']).catch(() => '');
  return Number(/v=(\d+)\./.exec(text)?.[1] ?? 0) >= 7;
}

async function firstThere(paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (there) return path;
  }
  throw new ConfigError(`none of ${paths.join(', ')} exists`);
}
