import { runConformance } from '@ambus/conformance';
import { additional } from './toy/additional.ts';
import { ToyServer, toy } from './toy/broker.ts';

// #region run
const server = new ToyServer();
const setup = { broker: 'toy', create: () => toy(server), additional };
for (const only of ['basics/', 'patterns/', 'groups/', 'settlement/']) {
  const results = await runConformance(setup, { only });
  const failed = results.filter(({ outcome }) => outcome === 'failed');
  console.log(only, failed.length === 0 ? 'nothing failed' : failed);
}
// #endregion run

// #region outcomes
const [shown, refused, notRun] = await Promise.all(
  ['groups/my-own', 'groups/late-from-date', 'settlement/lost-lease'].map((only) =>
    runConformance(setup, { only }),
  ),
);
for (const results of [shown, refused, notRun]) {
  for (const { id, outcome, reason } of results ?? []) console.log(`${id}: ${reason ?? outcome}`);
}
// #endregion outcomes
