import type { TopicOptions } from './config.ts';
import type { SchemaInput, SchemaOutput, StandardSchema } from './schema.ts';

/** Payload types by topic or pattern: `{ 'orders.created': Order }`. */
export type Topics = object;

/** Of a bus without types: everything is allowed, and data comes out as `any`, as from JSON.parse. */
// biome-ignore lint/suspicious/noExplicitAny: see above
export type AnyTopics = Record<string, any>;

/** A payload type that differs by direction, because its schema transforms. */
export interface Payload<Input, Output> {
  readonly '~in': Input;
  readonly '~out': Output;
}

type In<P> = P extends Payload<infer Input, unknown> ? Input : P;
type Out<P> = P extends Payload<unknown, infer Output> ? Output : P;

/** Whether topic `T` matches pattern `P`, segment by segment. `#` is taken as the last segment only. */
type Matches<T extends string, P extends string> = P extends '#'
  ? true
  : P extends `${infer PHead}.${infer PTail}`
    ? T extends `${infer THead}.${infer TTail}`
      ? PHead extends '*' | THead
        ? Matches<TTail, PTail>
        : false
      : PTail extends '#'
        ? PHead extends '*' | T
          ? true
          : false
        : false
    : T extends `${string}.${string}`
      ? false
      : P extends '*' | T
        ? true
        : false;

/** Declared by options and not by types alone: topics that are not named are allowed, and untyped. */
interface Open {
  readonly '~open'?: true;
}

type Keys<M> = Exclude<Extract<keyof M, string>, keyof Open>;

/** The declared topics that `P` stands for: itself, or those that it matches, or the pattern that matches it. */
type KeysFor<M, P extends string> =
  P extends Keys<M>
    ? P
    : { [K in Keys<M>]: Matches<K, P> extends true ? K : Matches<P, K> extends true ? K : never }[Keys<M>];

/** What is published on topic `P`. */
export type Publishes<M, P extends string> = string extends keyof M
  ? M[keyof M]
  : [KeysFor<M, P>] extends [never]
    ? AnyTopics[string]
    : In<M[KeysFor<M, P>]>;

/** What a handler on topic or pattern `P` gets. */
export type Receives<M, P extends string> = string extends keyof M
  ? M[keyof M]
  : [KeysFor<M, P>] extends [never]
    ? AnyTopics[string]
    : Out<M[KeysFor<M, P>]>;

/** The topics that a bus of these types takes: declared ones, and what declared patterns match. */
export type TopicName<M> = string extends keyof M
  ? string
  : '~open' extends keyof M
    ? string
    : Keys<M> | PatternTopic<Keys<M>>;

type PatternTopic<K extends string> = K extends `${string}${'*' | '#'}${string}` ? string : never;

/** The types that the schemas of `topics` options say. */
export type TopicsOf<Rules> = Rules extends readonly unknown[]
  ? AnyTopics
  : {
      [K in keyof Rules]: Rules[K] extends {
        readonly schema: infer S extends StandardSchema<unknown, unknown>;
      }
        ? Payload<SchemaInput<S>, SchemaOutput<S>>
        : AnyTopics[string];
    } & Open;

/**
 * Declares topics with their options once, for every service that uses them: `createBus({ topics })` then knows the
 * types that the schemas say, and validates at both ends.
 */
export function defineTopics<const Rules extends Readonly<Record<string, TopicOptions>>>(
  topics: Rules,
): Rules {
  return topics;
}
