import { access, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '@ambus/core';
import { run } from '../process/run.ts';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** The Debian mirror that this computer's apt uses: a line of `indextargets` is `uri|codename|component`. */
async function mirror(): Promise<string> {
  const targets = await run('apt-get', [
    'indextargets',
    '--format',
    '$(REPO_URI)|$(CODENAME)|$(COMPONENT)',
    'Created-By: Packages',
  ]).catch(() => '');
  const uri = targets
    .split('\n')
    .map((line) => line.split('|'))
    .find(([site, , component]) => component === 'main' && /\/debian\/?$/.test(site ?? ''))?.[0];
  if (uri === undefined) {
    throw new ConfigError(
      "this computer's apt has no Debian mirror: install the server, or use Docker or a url",
    );
  }
  return uri;
}

/**
 * Unpacks packages of a Debian release into `directory`, which needs no root and changes nothing of the system's: apt gets
 * lists, caches and sources of its own, at the mirror that the system uses.
 */
export async function unpackDebian(
  directory: string,
  suite: string,
  packages: readonly string[],
): Promise<void> {
  const apt = join(directory, '.apt');
  const lists = join(apt, 'lists');
  const archives = join(apt, 'archives');
  await mkdir(join(lists, 'partial'), { recursive: true });
  await mkdir(join(archives, 'partial'), { recursive: true });
  const signed = (await access(KEYRING).then(
    () => true,
    () => false,
  ))
    ? `[signed-by=${KEYRING}] `
    : '';
  await writeFile(join(apt, 'sources.list'), `deb ${signed}${await mirror()} ${suite} main\n`);
  const options = [
    `Dir::State::lists=${lists}`,
    `Dir::Cache=${apt}`,
    `Dir::Etc::sourcelist=${join(apt, 'sources.list')}`,
    'Dir::Etc::sourceparts=-',
    'Dir::Etc::preferences=-',
    'Dir::Etc::preferencesparts=-',
    // What is installed may be newer than the suite, and would be looked for in it.
    'Dir::State::status=/dev/null',
    // Root's apt would hand the download to a user who may not enter this directory.
    ...(process.getuid?.() === 0 ? ['APT::Sandbox::User=root'] : []),
    'Acquire::Languages=none',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false',
  ].flatMap((option) => ['-o', option]);
  await run('apt-get', [...options, 'update'], { cwd: archives });
  await run('apt-get', [...options, 'download', ...packages], { cwd: archives });
  for (const name of await readdir(archives)) {
    if (name.endsWith('.deb')) await run('dpkg-deb', ['-x', join(archives, name), directory]);
  }
  await rm(apt, { recursive: true });
}
