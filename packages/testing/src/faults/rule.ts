import { type BusRecord, check, patternProblem } from '@ambus/core';

/** Where faults happen: between a bus and its broker, on the way of one record. */
export type FaultPlace = 'publish' | 'delivery' | 'ack' | 'nack';

/** What may happen there; see `Faults` for what each means at each place. */
export type FaultKind = 'fail' | 'drop' | 'delay' | 'duplicate';

/** Which records a fault hits. All conditions must hold; with none it hits every one. */
export interface FaultSelection {
  readonly on: FaultPlace;
  /** Topic, or pattern, of the record. */
  readonly topic?: string | undefined;
  /** While this returns true. When it throws, the publish is refused; at another place the clock throws, and nothing else happens. */
  readonly when?: ((record: BusRecord) => boolean) | undefined;
  /** Of the records that are left, only this one or these, counted from 1 since the rule was added. */
  readonly nth?: number | readonly number[] | undefined;
  /** Of the records that are left, this share, 0 to 1, chosen by the seed. */
  readonly share?: number | undefined;
  /** How often at most. Default: no limit. */
  readonly times?: number | undefined;
}

/** A fault that is an error. */
export interface FailRule extends FaultSelection {
  /** Default: a retryable `ConnectionError`. What is not a `BusError` is wrapped in one. */
  readonly error?: Error | undefined;
}

/** A fault that takes time. */
export interface DelayRule extends FaultSelection {
  /** Milliseconds of the bus's clock. */
  readonly delay: number;
}

/** A rule of any kind. */
export type FaultRule =
  | ({ readonly fault: 'fail' } & FailRule)
  | ({ readonly fault: 'delay' } & DelayRule)
  | ({ readonly fault: 'drop' | 'duplicate' } & FaultSelection);

const times = check.integer(1);

const SELECTION: check.Spec<FaultSelection & { fault: FaultKind }> = {
  fault: check.oneOf('fail', 'drop', 'delay', 'duplicate'),
  on: check.oneOf('publish', 'delivery', 'ack', 'nack'),
  topic: check.without(patternProblem),
  when: check.callable,
  nth: check.either(times, check.arrayOf(times)),
  share: check.number(0, 1),
  times,
};
const isError: check.Check = (value) => (value instanceof Error ? undefined : 'an error');
const SPECS: Readonly<Record<FaultKind, check.Spec<never>>> = {
  fail: { ...SELECTION, error: isError } as check.Spec<never>,
  delay: { ...SELECTION, delay: check.milliseconds(0) } as check.Spec<never>,
  drop: SELECTION as check.Spec<never>,
  duplicate: SELECTION as check.Spec<never>,
};

/** @throws {ValidationError} naming what is wrong with it */
export function checkRule(rule: FaultRule): void {
  check.checkArgument('the fault rule', rule, check.object);
  check.checkArgument('fault option "fault"', rule.fault, SELECTION.fault);
  check.checkOptions('fault option', rule, SPECS[rule.fault]);
  check.checkArgument('fault option "on"', rule.on, SELECTION.on);
  if (rule.fault === 'delay') check.checkArgument('fault option "delay"', rule.delay, check.milliseconds(0));
}

/** A check for a list of rules. */
export const faultRules: check.Check = check.arrayOf((value) => {
  try {
    checkRule(value as FaultRule);
    return undefined;
  } catch (error) {
    return `a valid fault rule (${(error as Error).message})`;
  }
});
