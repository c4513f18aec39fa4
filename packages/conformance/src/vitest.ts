import { afterAll, describe, it } from 'vitest';
import { writeResults } from './results.ts';
import { type CaseResult, prepare, runCase } from './run.ts';
import { type IsolatedSetup, titleOf } from './setup.ts';

/**
 * Registers the suite with Vitest: one concurrent test a case. A case that needs control over a server which the setup
 * does not have is skipped by name, never silently passed.
 *
 * `AMB_BROKERS=redis,nats` narrows a run to these brokers on purpose; the others' cases are then skipped, and their setup
 * is not made.
 *
 * With `AMBUS_CONFORMANCE_RESULTS` set to a folder, results are written there as `<broker>.json`, or `<broker>-<variant>.json`.
 *
 * @param broker - its name, as in its `Broker.name`
 * @param make - the setup, or what makes it; its `close` is called when all is done
 */
export async function describeConformance(
  broker: string,
  make: IsolatedSetup | (() => IsolatedSetup | Promise<IsolatedSetup>),
): Promise<void> {
  const wanted = process.env.AMB_BROKERS;
  if (wanted && !wanted.split(',').includes(broker)) {
    describe.skip(`conformance: ${broker} (not in AMB_BROKERS)`, () => it('is left out', () => {}));
    return;
  }
  const setup = typeof make === 'function' ? await make() : make;
  const cases = await prepare(setup);
  const results: CaseResult[] = [];
  describe(`conformance: ${titleOf(setup)}`, () => {
    for (const prepared of cases) {
      const { id, name, skipped, timeout } = prepared;
      it.concurrent(`${id}: ${name}${skipped === undefined ? '' : ` (${skipped})`}`, {
        timeout: timeout + 5_000,
        skip: skipped !== undefined,
      }, async () => {
        const result = await runCase(prepared);
        results.push(result);
        if (result.outcome === 'failed') throw new Error(result.reason);
      });
    }
    afterAll(async () => {
      await setup.close?.();
      const folder = process.env.AMBUS_CONFORMANCE_RESULTS;
      if (folder === undefined) return;
      const skipped = cases.filter((one) => one.skipped !== undefined);
      await writeResults(folder, setup, [...results, ...(await Promise.all(skipped.map(runCase)))]);
    });
  });
}
