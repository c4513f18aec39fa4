import { type Check, milliseconds, options, type Spec, without } from '../config/check.ts';
import { topicProblem } from '../topic/topic.ts';

/** Where messages go that failed for good. */
export interface DeadLetterOptions {
  /** A durable topic. Default `dead-letters`. */
  readonly topic?: string | undefined;
  /** Milliseconds that they are kept there. Default 604,800,000 (7 days). */
  readonly retention?: number | undefined;
}

/** `DeadLetterOptions` with defaults filled in. */
export interface DeadLetterRule {
  readonly topic: string;
  readonly retention: number;
}

export const DEAD_LETTER_TOPIC = 'dead-letters';
export const DEAD_LETTER_RETENTION: number = 7 * 24 * 60 * 60 * 1_000;

const SPEC: Spec<DeadLetterOptions> = { topic: without(topicProblem), retention: milliseconds(1) };

/** A check for a `deadLetter` option: `DeadLetterOptions`, or false for none. */
export const deadLetterOption: Check = (value) => (value === false ? undefined : options(SPEC)(value));
