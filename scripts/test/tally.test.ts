import { expect, it } from 'vitest';
import { count } from '../steps/tests.ts';
import { one, sum, summary, tally } from '../tally.ts';

const file = (status: string, ...tests: string[]) => ({
  name: 'a.test.ts',
  status,
  assertionResults: tests.map((each, index) => ({
    status: each,
    title: `test ${index}`,
    fullName: `test ${index}`,
    failureMessages: each === 'failed' ? ['it is not so'] : [],
  })),
});
const report = { numPassedTests: 2, numFailedTests: 0, numPendingTests: 1, numTodoTests: 1 };

it('mentions skipped checks only when there are any', () => {
  expect(summary(tally(3, 0))).toBe('3 passed, 0 failed');
  expect(summary(tally(3, 1, '', 2))).toBe('3 passed, 1 failed, 2 skipped');
  expect(summary({ ...tally(3, 0), unsteady: 1 })).toBe('3 passed, 0 failed, 1 unsteady');
});

it('adds up every step and keeps what the failures said', () => {
  const total = sum([tally(2, 0), one({ code: 1, output: 'no' }), tally(1, 0, '', 4)]);
  expect(total).toEqual({ passed: 3, failed: 1, skipped: 4, unsteady: 0, details: 'no' });
});

it('counts a test file that could not be loaded as a failure', () => {
  const loaded = file('passed', 'passed', 'passed');
  const result = count({ ...report, testResults: [loaded, file('failed')] }, 1);
  expect(result).toMatchObject({ passed: 2, failed: 1, skipped: 2 });
});

it('does not count a file a second time whose tests failed', () => {
  const result = count({ ...report, numFailedTests: 1, testResults: [file('failed', 'failed')] }, 1);
  expect(result.failed).toBe(1);
});

it('says of a failed test where it is, its name and what it said', () => {
  const result = count(
    { ...report, numFailedTests: 1, testResults: [file('failed', 'passed', 'failed')] },
    1,
  );
  expect(result.details).toMatch(/a\.test\.ts: test 1\nit is not so$/);
});

it('fails when vitest does, whatever the report says', () => {
  const result = count({ ...report, testResults: [file('passed', 'passed', 'passed')] }, 1);
  expect(result.failed).toBe(1);
});
