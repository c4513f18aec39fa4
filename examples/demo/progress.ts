import { setTimeout } from 'node:timers/promises';

const TICK = 50;
const BAR = 30;
/** Milliseconds without any progress after which something must be wrong. */
const PATIENCE = 60_000;

/** How far the fleet is. */
export interface State {
  readonly done: number;
  readonly failed: number;
  readonly total: number;
}

/** Waits until all is done, and shows how far it is: with a bar on a terminal, else with a line for each quarter. */
export async function showUntilDone(state: () => State, signal: AbortSignal): Promise<void> {
  const draw = process.stdout.isTTY ? bar : lines();
  let last = -1;
  let since = performance.now();
  for (;;) {
    const now = state();
    draw(now);
    const reached = now.done + now.failed;
    if (reached >= now.total) break;
    if (reached !== last) since = performance.now();
    else if (performance.now() - since > PATIENCE) {
      throw new Error(
        `nothing has happened for ${PATIENCE / 1000} seconds, ${reached} of ${now.total} files are done`,
      );
    }
    last = reached;
    await setTimeout(TICK, undefined, { signal });
  }
  if (process.stdout.isTTY) process.stdout.write('\n');
}

function bar({ done, failed, total }: State): void {
  const filled = Math.round((BAR * (done + failed)) / Math.max(total, 1));
  const drawn = '█'.repeat(filled) + '░'.repeat(BAR - filled);
  process.stdout.write(`\r${drawn} ${done} of ${total} files indexed, ${failed} failed `);
}

function lines(): (state: State) => void {
  let quarter = 0;
  return ({ done, failed, total }) => {
    const reached = total === 0 ? 4 : Math.floor((4 * (done + failed)) / total);
    if (reached > quarter) console.log(`${done} of ${total} files indexed, ${failed} failed`);
    quarter = Math.max(quarter, reached);
  };
}

/** Resolves when `holds` does. */
export async function until(holds: () => boolean, signal: AbortSignal): Promise<void> {
  for (let waited = 0; !holds(); waited += TICK) {
    if (waited > PATIENCE) throw new Error(`nothing has happened for ${PATIENCE / 1000} seconds`);
    await setTimeout(TICK, undefined, { signal });
  }
}
