/** One guarantee, broken in core. */
export interface Mutation {
  /** Number and gist of the guarantee. */
  readonly guarantee: string;
  /** In `packages/core/src`. */
  readonly file: string;
  /** Stands there exactly once. */
  readonly find: string;
  readonly replace: string;
  /** Part of the ids of the cases that are run; at least one of them must fail. */
  readonly cases: string;
}

export const mutations: readonly Mutation[] = [
  {
    guarantee: '1: publish resolves when the broker has accepted',
    file: 'publish/publisher.ts',
    find: 'if (failure !== undefined) throw failure;',
    replace: '',
    cases: 'batching/',
  },
  {
    guarantee: '2: a message is acked only after its handler resolved',
    file: 'subscribe/runner.ts',
    find: 'result = this.#plan.handle(message);',
    replace: 'settlerOf(message).done(message); result = this.#plan.handle(message);',
    cases: 'settlement/',
  },
  {
    guarantee: '3: without a group every subscription gets its own copy',
    file: 'subscribe/consumer.ts',
    find: '{ pattern, channel, group, from, prefetch, room, order: retry.order, transaction },',
    replace:
      "{ pattern, channel, group: group ?? 'all', from, prefetch, room, order: retry.order, transaction },",
    cases: 'groups/',
  },
  {
    guarantee: '4: subscribe resolves when the subscription is in place',
    file: 'subscribe/consumers.ts',
    find: 'await within(this.#core.clock, this.#times.open, consumer.open(), pattern);',
    replace: 'setTimeout(() => void consumer.open(), 50);',
    cases: 'basics/',
  },
  {
    guarantee: '5: groups are durable',
    file: 'subscribe/consumer.ts',
    find: 'await atMost(this.#core.clock, Promise.all(this.#flows.map(({ flow }) => flow.close())), SETTLE_GRACE);',
    replace:
      'await Promise.all(this.#flows.map(({ flow }) => flow.close())); if (this.plan.group !== undefined) await this.#core.broker.admin?.deleteGroup(this.plan.pattern, this.plan.group);',
    cases: 'groups/',
  },
  {
    guarantee: '6: messages of one key are handled in order, one at a time',
    file: 'subscribe/scheduler.ts',
    find: 'const lane = this.#lanes.get(key);\n      if (lane !== undefined) {',
    replace: 'const lane = this.#lanes.get(key);\n      if (false) {',
    cases: 'order/',
  },
  {
    guarantee: '7: attempts are counted',
    file: 'subscribe/message.ts',
    find: 'this.attempt = delivery.attempt;',
    replace: 'this.attempt = 1;',
    cases: 'settlement/',
  },
  {
    guarantee: '8: retries wait',
    file: 'settlement/settler.ts',
    find: 'delay ?? retryDelay(policy, message.attempt)',
    replace: '0',
    cases: 'retries/',
  },
  {
    guarantee: '8: what failed for good goes to the dead letters',
    file: 'settlement/settler.ts',
    find: 'if (deadLetter === false) {',
    replace: 'if (true) {',
    cases: 'dead-letters/',
  },
  {
    guarantee: '9: a handler has its time, and no more',
    file: 'subscribe/deadlines.ts',
    find: 'if (message.deadline <= now && message.isWatched) this.#expired(message);',
    replace: '',
    cases: 'settlement/',
  },
  {
    guarantee: '10: expired messages are not handled',
    file: 'subscribe/outcomes.ts',
    find: 'expiresAt !== undefined && expiresAt <= this.#core.clock.now()',
    replace: 'expiresAt === 0',
    cases: 'time/',
  },
  {
    guarantee: '6: in a batch, what fails before its handler holds back its key',
    file: 'subscribe/batch-runner.ts',
    find: "if (other.record.key !== key || other.phase !== 'handling') continue;",
    replace: 'if (other !== message) continue;',
    cases: 'order/',
  },
  {
    guarantee: '11: delayed messages wait',
    file: 'publish/build-record.ts',
    find: 'deliverAt: due,',
    replace: 'deliverAt: undefined,',
    cases: 'time/',
  },
  {
    guarantee: '12: never more than prefetch unsettled',
    file: 'subscribe/consumer.ts',
    find: '{ pattern, channel, group, from, prefetch, room, order: retry.order, transaction },',
    replace: '{ pattern, channel, group, from, prefetch: prefetch + 50, order: retry.order, transaction },',
    cases: 'batching/',
  },
  {
    guarantee: '13: close lets handlers finish',
    file: 'subscribe/consumer.ts',
    find: 'await Promise.race([this.#idle(timeout), this.#hurried.promise]);',
    replace: '',
    cases: 'lifecycle/',
  },
  {
    guarantee: '14: publishes wait for the connection to come back',
    file: 'publish/publisher.ts',
    find: 'batch.deadline = this.#clock.now() + publishTimeout;',
    replace: 'batch.deadline = this.#clock.now();',
    cases: 'faults/',
  },
  {
    guarantee: '15: bad input is refused by name',
    file: 'config/check.ts',
    find: 'if (check === undefined || !Object.hasOwn(spec, name)) {',
    replace: 'if (check === undefined) continue;\n    if (!Object.hasOwn(spec, name)) {',
    cases: 'lifecycle/',
  },
  {
    guarantee: '15: what cannot be decoded goes to the dead letters',
    file: 'subscribe/outcomes.ts',
    find: 'else settler.undecodable(message, error);',
    replace: 'else settler.done(message);',
    cases: 'basics/',
  },
  {
    guarantee: '16: exactly once drops a duplicate publish',
    file: 'publish/build-record.ts',
    find: "options.delivery === 'exactly-once' ? (options.idempotencyKey ?? options.id) : undefined,",
    replace: 'undefined,',
    cases: 'delivery/',
  },
  {
    guarantee: '16: at most once acks before handling',
    file: 'subscribe/outcomes.ts',
    find: "return this.#plan.atMostOnce || message.record.extensions?.delivery === 'at-most-once';",
    replace: 'return false;',
    cases: 'delivery/',
  },
  {
    guarantee: '17: requests have a deadline',
    file: 'request/requester.ts',
    find: 'timer: this.#core.clock.setTimeout(expired, deadline - this.#core.clock.now()),',
    replace: 'timer: undefined,',
    cases: 'requests/',
  },
  {
    guarantee: '17: a responder’s error reaches the requester',
    file: 'request/requester.ts',
    find: 'if (error !== undefined) {',
    replace: 'if (error === "") {',
    cases: 'requests/',
  },
  {
    guarantee: '18: a breaker pauses consumption',
    file: 'subscribe/runner.ts',
    find: 'hooks.mayRun() && (this.#breaker?.admit() ?? true)',
    replace: 'true',
    cases: 'resilience/',
  },
];
