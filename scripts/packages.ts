import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { root, run } from './run.ts';

export interface Manifest {
  name: string;
  version: string;
  exports: Record<string, unknown>;
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, { optional?: boolean }>;
}

export interface Package {
  folder: string;
  manifest: Manifest;
}

export interface Packed extends Package {
  tarball: string;
}

/** Every package that is published, so also the one that was added a minute ago. */
export function publishedPackages(): Package[] {
  return globSync('packages/*/package.json', { cwd: root })
    .sort()
    .map((file) => ({
      folder: resolve(root, file, '..'),
      manifest: JSON.parse(readFileSync(join(root, file), 'utf8')),
    }));
}

/** Packs every package as `pnpm publish` would. */
export function packAll(target: string): Promise<Packed[]> {
  return Promise.all(
    publishedPackages().map(async (entry) => {
      const { name, version } = entry.manifest;
      const tarball = join(target, `${name.slice(1).replace('/', '-')}-${version}.tgz`);
      const { code, output } = await run(`pnpm pack --out "${tarball}"`, [], {
        cwd: entry.folder,
        shell: true,
      });
      if (code !== 0) throw new Error(`pnpm pack in ${entry.folder}:\n${output}`);
      return { ...entry, tarball };
    }),
  );
}
