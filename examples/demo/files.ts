import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path/posix';
import { ValidationError } from '@ambus/core';
import type { Found, Kind } from './topics.ts';

const SKIPPED = new Set(['.git', 'node_modules', 'dist', 'cache', 'coverage', '.turbo']);
const LARGEST = 1024 * 1024;
/** Words of a file that go into the index, the commonest: every broker has a limit for messages. */
const MOST_WORDS = 300;

const EXTENSIONS: Readonly<Record<Exclude<Kind, 'other'>, string>> = {
  code: 'ts tsx mts cts js jsx mjs cjs py go rs java kt c h cc cpp hpp cs rb php swift sh sql vue',
  docs: 'md mdx txt rst adoc html tex',
  data: 'json jsonc yaml yml toml csv xml ini lock proto',
};

const KIND_BY_EXTENSION = new Map(
  Object.entries(EXTENSIONS).flatMap(([kind, list]) =>
    list.split(' ').map((extension) => [extension, kind as Kind] as const),
  ),
);

export function kindOf(path: string): Kind {
  return KIND_BY_EXTENSION.get(extname(path).slice(1).toLowerCase()) ?? 'other';
}

/** The files under a directory, as paths from it, a directory at a time and always in the same order. */
export async function* walk(root: string, folder = ''): AsyncGenerator<string[]> {
  const entries = await readdir(join(root, folder), { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  yield entries.filter((entry) => entry.isFile()).map(({ name }) => join(folder, name));
  for (const entry of entries) {
    if (entry.isDirectory() && !SKIPPED.has(entry.name)) yield* walk(root, join(folder, entry.name));
  }
}

/**
 * The text of a file.
 *
 * @throws {ValidationError} when it is binary: no second try can help, so there will be none
 * @throws {Error} when it is too large, not readable or not UTF-8: somebody may be writing it, so another try may help
 */
export async function readText(root: string, path: string, readAs: Found['readAs']): Promise<string> {
  if (readAs === 'name') return basename(path);
  const bytes = await readBytes(join(root, path));
  if (bytes.includes(0)) throw new ValidationError('it is binary');
  return new TextDecoder(readAs, { fatal: true }).decode(bytes);
}

async function readBytes(file: string): Promise<Uint8Array> {
  let size: number;
  let bytes: Uint8Array;
  try {
    ({ size } = await stat(file));
    bytes = size > LARGEST ? new Uint8Array() : await readFile(file);
  } catch (cause) {
    throw new Error(`it cannot be read (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
  if (size > LARGEST) throw new RangeError(`it has ${size} bytes, more than ${LARGEST}`);
  return bytes;
}

/** How often each word is in a text, of the commonest words. */
export function countWords(text: string): Record<string, number> {
  const counts = new Map<string, number>();
  for (const [word] of text.toLowerCase().matchAll(/\p{L}[\p{L}\p{N}]{2,39}/gu)) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const commonest = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  return Object.fromEntries(commonest.slice(0, MOST_WORDS));
}
