import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { defineConfig, type UserConfig } from 'tsdown';

interface Manifest {
  exports: Record<string, { '@ambus/source': string; import: { default: string } }>;
}

// What a package exports is said once, in its package.json; its entries are read from there.
const manifest: Manifest = JSON.parse(readFileSync(resolve('package.json'), 'utf8'));
const entry = Object.fromEntries(
  Object.values(manifest.exports).map((target) => [
    target.import.default.replace('./dist/', '').replace('.js', ''),
    target['@ambus/source'],
  ]),
);

const config: UserConfig = defineConfig({
  cwd: process.cwd(),
  entry,
  format: ['esm', 'cjs'],
  platform: 'node',
  target: 'node22.12',
  dts: { oxc: true, sourcemap: true },
  sourcemap: true,
  fixedExtension: false,
  tsconfig: resolve('../../tsconfig.json'),
});

export default config;
