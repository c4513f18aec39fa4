import {
  asBusError,
  type BusError,
  type BusRecord,
  type Clock,
  ConfigError,
  ConnectionError,
  check,
  compilePattern,
} from '@ambus/core';
import { randomNumbers } from './random.ts';
import {
  checkRule,
  type DelayRule,
  type FailRule,
  type FaultKind,
  type FaultPlace,
  type FaultRule,
  type FaultSelection,
  faultRules,
} from './rule.ts';

/** A rule at work. */
export interface Fault {
  /** How often it has struck. */
  readonly hits: number;
  /** Ends it. */
  remove(): void;
}

/** What happened at one place: records that came by, and how many of them each fault hit. */
export type FaultCounts = Readonly<Record<'seen' | FaultKind, number>>;

/** What is to happen to one record. */
export interface Verdict {
  readonly fault: FaultKind;
  readonly error: BusError;
  /** Milliseconds. */
  readonly delay: number;
}

/** Options of `Faults`. */
export interface FaultsOptions {
  /** 0 to 4,294,967,295: the same seed hits the same records. Default 1. */
  readonly seed?: number | undefined;
  readonly rules?: readonly FaultRule[] | undefined;
}

const SPEC: check.Spec<FaultsOptions> = { seed: check.integer(0, 2 ** 32 - 1), rules: faultRules };

const PLACES = ['publish', 'delivery', 'ack', 'nack'] as const;

class ActiveRule implements Fault {
  hits = 0;
  /** Whether it was told that its condition throws. */
  told = false;
  readonly rule: FaultRule;
  readonly remove: () => void;
  readonly #matches: (topic: string) => boolean;
  readonly #nth: ReadonlySet<number> | undefined;
  readonly #random: () => number;
  #met = 0;

  constructor(rule: FaultRule, random: () => number, remove: (rule: ActiveRule) => void) {
    this.rule = rule;
    this.remove = () => remove(this);
    this.#matches = rule.topic === undefined ? () => true : compilePattern(rule.topic);
    this.#nth = rule.nth === undefined ? undefined : new Set([rule.nth].flat());
    this.#random = random;
  }

  /** Whether it would strike; every record that it sees counts. */
  strikes(record: BusRecord): boolean {
    const { when, share, times } = this.rule;
    if (!this.#matches(record.topic) || (when !== undefined && !when(record))) return false;
    this.#met++;
    if (this.#nth !== undefined && !this.#nth.has(this.#met)) return false;
    if (share !== undefined && this.#random() >= share) return false;
    return times === undefined || this.hits < times;
  }
}

/**
 * The faults of a test, and what came of them.
 *
 * | | publish | delivery | ack, nack |
 * | --- | --- | --- | --- |
 * | fail | the record is refused with `error` | the consumer gets it and loses its lease at once | rejected with `error`; the record comes again after the lease |
 * | drop | accepted, and lost | never arrives; comes again after the lease | accepted, and lost; the record comes again after the lease |
 * | delay | takes longer, in order | arrives later, in order | takes longer |
 * | duplicate | is published twice | arrives twice | arrives twice |
 *
 * What has no group has no lease: there a failed or dropped delivery is gone, and a lost ack is of no consequence. Of
 * several rules that strike at one record the first counts.
 */
export class Faults {
  /** What its chances come from. */
  readonly seed: number;
  readonly #random: () => number;
  readonly #rules: Readonly<Record<FaultPlace, Set<ActiveRule>>> = {
    publish: new Set(),
    delivery: new Set(),
    ack: new Set(),
    nack: new Set(),
  };
  readonly #counts: Record<FaultPlace, Record<'seen' | FaultKind, number>>;

  /** @throws {ValidationError} naming the option, its value and what is allowed */
  constructor(options: FaultsOptions = {}) {
    check.checkOptions('faults option', options, SPEC);
    this.seed = options.seed ?? 1;
    this.#random = randomNumbers(this.seed);
    const none = (): Record<'seen' | FaultKind, number> => ({
      seen: 0,
      fail: 0,
      drop: 0,
      delay: 0,
      duplicate: 0,
    });
    this.#counts = { publish: none(), delivery: none(), ack: none(), nack: none() };
    for (const rule of options.rules ?? []) this.add(rule);
  }

  /**
   * Adds a rule of any kind, behind those that are there.
   *
   * @throws {ValidationError} naming the option, its value and what is allowed; so do `fail`, `drop`, `delay`, `duplicate`
   */
  add(rule: FaultRule): Fault {
    checkRule(rule);
    const rules = this.#rules[rule.on];
    const active = new ActiveRule({ ...rule }, this.#random, (one) => rules.delete(one));
    rules.add(active);
    return active;
  }

  /** Adds a rule under which records are refused, or their lease is lost. */
  fail(rule: FailRule): Fault {
    return this.add({ ...rule, fault: 'fail' });
  }

  /** Adds a rule under which records, or their settlements, are lost although they are accepted. */
  drop(rule: FaultSelection): Fault {
    return this.add({ ...rule, fault: 'drop' });
  }

  /** Adds a rule under which records, or their settlements, take `delay` milliseconds longer. */
  delay(rule: DelayRule): Fault {
    return this.add({ ...rule, fault: 'delay' });
  }

  /** Adds a rule under which records, or their settlements, arrive twice. */
  duplicate(rule: FaultSelection): Fault {
    return this.add({ ...rule, fault: 'duplicate' });
  }

  /** Takes all rules away. What is delayed stays so; the counts stay. */
  clear(): void {
    for (const place of PLACES) this.#rules[place].clear();
  }

  /** What has happened so far. */
  get counts(): Readonly<Record<FaultPlace, FaultCounts>> {
    return structuredClone(this.#counts);
  }

  /**
   * @internal What is to happen to a record; undefined for nothing.
   *
   * A condition that throws refuses a publish. Elsewhere nobody is there to take the error, and a sink must not throw:
   * nothing happens to the record, and `clock` throws, once for each rule.
   */
  decide(place: FaultPlace, record: BusRecord, clock: Clock): Verdict | undefined {
    const counts = this.#counts[place];
    counts.seen++;
    let broken: { readonly rule: ActiveRule; readonly error: BusError } | undefined;
    // Every rule looks, so that what one counts does not depend on the others.
    const struck = [...this.#rules[place]].filter((rule) => {
      try {
        return rule.strikes(record);
      } catch (error) {
        broken ??= { rule, error: conditionError(rule.rule, record.topic, error) };
        return false;
      }
    })[0];
    if (broken !== undefined) {
      const { rule, error } = broken;
      if (place === 'publish') return { fault: 'fail', error, delay: 0 };
      if (!rule.told) clock.setTimeout(() => raise(error), 0);
      rule.told = true;
      return undefined;
    }
    if (struck === undefined) return undefined;
    struck.hits++;
    counts[struck.rule.fault]++;
    return verdict(struck.rule, place, record.topic);
  }
}

function raise(error: BusError): never {
  throw error;
}

function conditionError({ fault, on }: FaultRule, topic: string, cause: unknown): ConfigError {
  const said = cause instanceof Error ? cause.message : String(cause);
  return new ConfigError(`the "when" of a fault rule (${fault} on ${on}) threw: ${said}`, { topic, cause });
}

function verdict(rule: FaultRule, place: FaultPlace, topic: string): Verdict {
  const error =
    rule.fault === 'fail' && rule.error !== undefined
      ? asBusError(rule.error, { topic })
      : new ConnectionError(`injected fault on ${place}`, { topic });
  return { fault: rule.fault, error, delay: rule.fault === 'delay' ? rule.delay : 0 };
}
