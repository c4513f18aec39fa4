import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A program in a process of its own. */
export interface Program {
  readonly child: ChildProcess;
  /** The first line that it prints, as JSON. */
  readonly line: Promise<unknown>;
  readonly ended: Promise<unknown>;
}

/** Runs TypeScript in another process; what it needs of the launcher is imported. */
export function program(source: string, env: Readonly<Record<string, string>> = {}): Program {
  const from = (path: string) => JSON.stringify(fileURLToPath(new URL(`../../src/${path}`, import.meta.url)));
  const head = `import { startServer } from ${from('index.ts')};
import { installed } from ${from('servers/cache/install.ts')};
import { workDirectory } from ${from('servers/process/guard.ts')};
import { run } from ${from('servers/process/run.ts')};
void [startServer, installed, workDirectory, run];`;
  const child = spawn(
    process.execPath,
    ['--conditions=@ambus/source', '--input-type=module', '--eval', `${head}\n${source}`],
    { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  let errors = '';
  child.stderr?.on('data', (text) => {
    errors += text;
  });
  const ended = once(child, 'exit');
  const line = new Promise((resolve, reject) => {
    child.stdout?.on('data', (text) => {
      output += text;
      const end = output.indexOf('\n');
      if (end >= 0) resolve(JSON.parse(output.slice(0, end)));
    });
    child.on('close', () => reject(new Error(`it printed nothing:\n${errors}`)));
  });
  line.catch(() => {});
  return { child, line, ended };
}
