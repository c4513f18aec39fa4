/** Wrong values by option. */
export type Wrong = Readonly<Record<string, readonly unknown[]>>;

export const text: readonly unknown[] = ['', 5, {}, '\ud800'];
export const milliseconds: readonly unknown[] = [-1, 1.5, Number.NaN, '5', null];
export const count: readonly unknown[] = [0, -1, 2.5, Number.NaN, '3', null];
export const signal: readonly unknown[] = [{}, 'signal', null];
const retry = [
  5,
  true,
  { maxRetries: -1 },
  { maxRetries: 1.5 },
  { maxRetry: 3 },
  { initialDelay: -1 },
  { maxDelay: '1m' },
  { factor: 0 },
  { jitter: 2 },
  { backoff: 'random' },
  { delays: [] },
  { delays: [1, -1] },
  { retryOn: 5 },
  { retryOn: [''] },
];
const deadLetter = [5, true, { topic: 'not a topic' }, { topic: 'a.*' }, { retention: 0 }, { topics: 'a' }];
const circuitBreaker = [
  5,
  true,
  { failureThreshold: 0 },
  { recoveryTimeout: -1 },
  { halfOpenRequests: 0 },
  { threshold: 5 },
];
const compress = [
  'zip',
  5,
  { algorithm: 'zip' },
  { level: 'high' },
  { algorithm: 'gzip', level: 99 },
  { threshold: -1 },
  { encoding: 'gzip' },
];
export const group: readonly unknown[] = ['', 'a b', 'a.b', '*', 'x'.repeat(65), 5];

/** Of `publish`. */
export const PUBLISH: Wrong = {
  headers: ['a', [], { a: 1 }, { '': 'x' }, { a: '\ud800' }, { '\udfff': 'x' }, null],
  key: [...text, 'x'.repeat(257)],
  id: [...text, 'x'.repeat(129)],
  type: text,
  source: text,
  correlationId: text,
  causationId: text,
  priority: ['urgent', 5, -1, 1.5, null],
  ttl: [0, ...milliseconds],
  delay: milliseconds,
  deliverAt: ['tomorrow', Date.now(), new Date(Number.NaN)],
  delivery: ['twice', 1],
  idempotencyKey: text,
  retry: [...retry, { order: 'block' }, { retryOn: () => true }, { retryOn: Error }],
  compress,
  dataSchema: text,
  traceparent: text,
  tracestate: text,
  signal,
};

/** Of `subscribe`. */
export const SUBSCRIBE: Wrong = {
  group,
  concurrency: [...count, 10_001],
  prefetch: [...count, 100_001],
  ack: ['automatic', true, {}, { batch: 0 }, { batch: 5, maxWait: -1 }, { batch: 5, wait: 5 }],
  filter: ['x', {}, { header: { a: 1 } }, { headers: 5 }, null],
  retry: [...retry, { order: 'wait' }],
  deadLetter,
  circuitBreaker,
  handlerTimeout: [0, ...milliseconds],
  order: ['wait', 5],
  from: ['start', 5, new Date(Number.NaN)],
  delivery: ['twice', 5],
  transaction: ['yes', 1],
  signal,
};

const { headers, key, id, type, source, correlationId, causationId, priority, dataSchema, traceparent } =
  PUBLISH;
/** Of `request`. */
export const REQUEST: Wrong = {
  ...({
    headers,
    key,
    id,
    type,
    source,
    correlationId,
    causationId,
    priority,
    compress,
    dataSchema,
  } as Wrong),
  traceparent: traceparent!,
  tracestate: text,
  signal,
  timeout: [0, Number.POSITIVE_INFINITY, ...milliseconds],
};

/** Of `respond`. */
export const RESPOND: Wrong = {
  group,
  concurrency: [...count, 10_001],
  prefetch: [...count, 100_001],
  handlerTimeout: [0, ...milliseconds],
  signal,
};

/** Of `receive`. */
export const RECEIVE: Wrong = {
  group,
  max: [...count, 10_001],
  timeout: milliseconds,
  from: SUBSCRIBE.from!,
  handlerTimeout: SUBSCRIBE.handlerTimeout!,
  retry,
  deadLetter,
  signal,
};

/** Of `createBus`. */
export const BUS: Wrong = {
  broker: ['rabbit', 5, {}, { connect() {} }],
  url: ['', 5],
  serializer: ['xml', 5, {}, { contentType: 'x' }],
  serializers: ['json', [5], [{}]],
  topics: [
    5,
    { 'not a topic': {} },
    { 'a.b': 5 },
    { 'a.b': { durability: 'eternal' } },
    { 'a.b': { retention: { maxAge: 0 } } },
    { 'a.b': { retention: { age: 5 } } },
    { 'a.b': { schema: {} } },
    { 'a.b': { ttl: 0 } },
    { 'a.b': { durabilty: 'durable' } },
    { 'dead-letters': { durability: 'ephemeral' } },
    { 'a.b': { serializer: { serialize() {}, deserialize() {} } } },
    [5],
    [null],
    [{ pattern: 5 }],
    [{}],
  ],
  retry,
  deadLetter,
  circuitBreaker,
  middleware: [5, {}, [5], [{}], [{ publish: 5 }]],
  logger: [true, {}, { info() {} }],
  source: text,
  publishTimeout: [0, ...milliseconds],
  requestTimeout: [0, ...milliseconds],
  connectTimeout: [0, ...milliseconds],
  closeTimeout: milliseconds,
  maxPending: count,
  whenFull: ['drop', 5],
  compress,
  deduplicationWindow: [0, ...milliseconds],
  prefix: ['', 'a.b', 'a b', 'x'.repeat(33), 5],
  provision: ['maybe', true],
  clock: [5, {}, { now() {} }],
};

export const BAD_TOPICS: readonly unknown[] = [
  '',
  '.',
  'a.',
  '.a',
  'a..b',
  'a b',
  'a/b',
  'ä',
  'a.*',
  'a.#',
  'x'.repeat(201),
  `${'a.'.repeat(16)}a`,
  5,
  null,
  undefined,
];
export const BAD_PATTERNS: readonly unknown[] = [
  '',
  '.',
  'a.',
  'a..b',
  'a b',
  'a*',
  '#a',
  'a.b#',
  '>',
  'x'.repeat(201),
  5,
  null,
  undefined,
];
