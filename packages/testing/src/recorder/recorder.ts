// Imported by name: a test runner's fake timers replace the global ones, and expectations wait in real time.
import { clearTimeout, setTimeout } from 'node:timers';
import {
  type Bus,
  check,
  intersects,
  type Message,
  matches,
  patternProblem,
  type Subscription,
  ValidationError,
} from '@ambus/core';
import { callSite, describeWanted, failure, listed } from './failure.ts';
import { type Match, toPredicate } from './match.ts';

/** Options of `recorder.expect`. */
export interface ExpectOptions {
  /** How many messages are awaited, at least 1; with it the promise resolves to an array of them. */
  readonly count?: number | undefined;
  /** Milliseconds of real time. Default 1,000. */
  readonly timeout?: number | undefined;
}

/** Options of `recorder.expectNone`. */
export interface ExpectNoneOptions {
  /** Milliseconds of real time in which none may come. Default 20. */
  readonly timeout?: number | undefined;
}

const EXPECT_SPEC: check.Spec<ExpectOptions> = { count: check.integer(1), timeout: check.milliseconds(0) };
const NONE_SPEC: check.Spec<ExpectNoneOptions> = { timeout: check.milliseconds(0) };
const DEFAULT_TIMEOUT = 1_000;
const DEFAULT_SILENCE = 20;
/** A recorder must not be what holds a test up. */
const PREFETCH = 10_000;

const patternCheck = check.without(patternProblem);

/** What was published since it was made, or since `clear()`. */
export class Recorder implements AsyncDisposable {
  /** What it listens to. */
  readonly pattern: string;
  readonly #subscription: Subscription;
  readonly #recorded: Message[];
  readonly #listeners: Set<() => void>;

  /** @internal See `recorder`. */
  constructor(subscription: Subscription, recorded: Message[], listeners: Set<() => void>) {
    this.pattern = subscription.pattern;
    this.#subscription = subscription;
    this.#recorded = recorded;
    this.#listeners = listeners;
  }

  /**
   * What is recorded so far on topics that match, in the order in which it came.
   *
   * @throws {ValidationError} when the pattern is none, or nothing that it matches is recorded
   */
  // biome-ignore lint/suspicious/noExplicitAny: an untyped bus hands out untyped data
  messages<T = any>(pattern: string = this.pattern): readonly Message<T>[] {
    this.#check(pattern);
    return this.#recorded.filter(({ topic }) => matches(pattern, topic));
  }

  /**
   * Resolves to the first message that is meant, recorded already or still to come; with `count` to the first so many.
   * Nothing is used up: the same call again finds the same.
   *
   * @throws {AssertionError} after the timeout, saying what came instead
   * @throws {ValidationError} for a wrong option, and for a pattern as `messages`
   */
  // biome-ignore lint/suspicious/noExplicitAny: an untyped bus hands out untyped data
  expect<T = any>(
    pattern: string,
    match: Match<T> | undefined,
    options: ExpectOptions & { readonly count: number },
  ): Promise<Message<T>[]>;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  expect<T = any>(
    pattern: string,
    match?: Match<T>,
    options?: ExpectOptions & { readonly count?: undefined },
  ): Promise<Message<T>>;
  async expect(
    pattern: string,
    match?: Match,
    options: ExpectOptions = {},
  ): Promise<Message | readonly Message[]> {
    const site = callSite(this.expect);
    check.checkOptions('expect option', options, EXPECT_SPEC);
    const { count, timeout = DEFAULT_TIMEOUT } = options;
    const find = this.#finder(pattern, match);
    await this.#until(() => find().length >= (count ?? 1), timeout);
    const found = find();
    if (found.length >= (count ?? 1)) return count === undefined ? found[0]! : found.slice(0, count);
    const wanted = `${count === undefined || count === 1 ? 'a message' : `${count} messages`} on ${describeWanted(pattern, match)}`;
    const came = found.length > 0 ? ` and ${found.length} came` : '';
    throw failure(
      `expected ${wanted} within ${timeout} ms${came}; recorded: ${listed(this.#nearest(pattern))}`,
      site,
    );
  }

  /**
   * Resolves when no such message is recorded, and none comes for a moment.
   *
   * @throws {AssertionError} listing what came
   * @throws {ValidationError} for a wrong option, and for a pattern as `messages`
   */
  async expectNone(pattern: string, match?: Match, options: ExpectNoneOptions = {}): Promise<void> {
    const site = callSite(this.expectNone);
    check.checkOptions('expectNone option', options, NONE_SPEC);
    const find = this.#finder(pattern, match);
    await this.#until(() => find().length > 0, options.timeout ?? DEFAULT_SILENCE);
    const found = find();
    if (found.length > 0)
      throw failure(`expected no message on ${describeWanted(pattern, match)}; came: ${listed(found)}`, site);
  }

  /** Forgets what is recorded. */
  clear(): void {
    this.#recorded.length = 0;
  }

  /** Stops recording; what is recorded stays. Closing the bus does the same. */
  close(): Promise<void> {
    return this.#subscription.unsubscribe();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #check(pattern: string): void {
    check.checkArgument('the pattern', pattern, patternCheck);
    if (!intersects(pattern, this.pattern)) {
      throw new ValidationError(`"${pattern}" is never recorded: the recorder listens to "${this.pattern}"`);
    }
  }

  #finder(pattern: string, match: Match | undefined): () => readonly Message[] {
    this.#check(pattern);
    const isMeant = toPredicate(match);
    return () => this.messages(pattern).filter(isMeant);
  }

  /** What is recorded, that on the right topics first. */
  #nearest(pattern: string): readonly Message[] {
    const isNear = ({ topic }: Message): boolean => matches(pattern, topic);
    return [...this.#recorded].sort((a, b) => Number(isNear(b)) - Number(isNear(a)));
  }

  /** Resolves when `holds` does, or after `timeout` milliseconds. */
  #until(holds: () => boolean, timeout: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        this.#listeners.delete(look);
        settle();
      };
      const look = (): void => {
        try {
          if (holds()) end(resolve);
        } catch (error) {
          end(() => reject(error));
        }
      };
      const timer = setTimeout(() => end(resolve), timeout);
      this.#listeners.add(look);
      look();
    });
  }
}

/**
 * Records what is published from now on, by this bus or any other on its server.
 *
 * @param pattern - default `#`: everything, dead letters included
 * @throws {ValidationError} when the pattern is none, and what `bus.subscribe` rejects with
 */
export async function recorder<M>(bus: Bus<M>, pattern = '#'): Promise<Recorder> {
  check.checkArgument('the bus', bus, check.shaped('a bus', 'subscribe', 'publish'));
  const recorded: Message[] = [];
  const listeners = new Set<() => void>();
  const record = (message: Message): void => {
    recorded.push(message);
    for (const look of [...listeners]) look();
  };
  // What cannot be read is the business of those it was meant for.
  const options = { prefetch: PREFETCH, retry: false, deadLetter: false, circuitBreaker: false } as const;
  const subscription = await (bus as unknown as Bus).subscribe(pattern, record, options);
  return new Recorder(subscription, recorded, listeners);
}
