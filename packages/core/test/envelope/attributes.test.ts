import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Arrival, fromHeaders, type HeaderStyle, toHeaders } from '../../src/envelope/attributes.ts';
import type { BusRecord } from '../../src/envelope/record.ts';

const STYLES: Readonly<Record<string, HeaderStyle>> = {
  kafka: { prefix: 'ce_', contentType: 'content-type' },
  nats: { prefix: 'ce-', contentType: 'content-type' },
  amqp: { prefix: 'cloudEvents:', contentType: 'content-type' },
};

const arrival: Arrival = { topic: 'orders.created', channel: 'durable', id: 'place-1', time: 7 };

const full: BusRecord = {
  id: '01890000-0000-7000-8000-000000000000',
  topic: 'orders.created',
  channel: 'durable',
  body: new Uint8Array([1, 2]),
  time: Date.UTC(2030, 0, 2, 3, 4, 5, 678),
  headers: { a: 'b' },
  key: 'tenant-7',
  priority: 1,
  source: 'shop',
  type: 'order.created',
  contentType: 'application/json',
  contentEncoding: 'gzip',
  dataSchema: 'urn:order',
  correlationId: 'c',
  causationId: 'd',
  replyTo: 'inbox',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  tracestate: 'a=b',
  expiresAt: Date.UTC(2031, 0, 1),
  deliverAt: Date.UTC(2030, 5, 1),
  deduplicationKey: 'once',
  extensions: {
    delivery: 'at-most-once',
    retry: '{}',
    target: 'g:p',
    deadLetter: '{}',
    error: '{}',
    responder: 'r',
  },
};

describe.each(Object.entries(STYLES))('attributes as %s headers', (_, style) => {
  it('bring every field back', () => {
    expect(fromHeaders(toHeaders(full, style), full.body, arrival, style)).toEqual(full);
  });

  it('name the attributes as CloudEvents does', () => {
    const headers = toHeaders(full, style);
    expect(headers).toMatchObject({
      [`${style.prefix}specversion`]: '1.0',
      [`${style.prefix}id`]: full.id,
      [`${style.prefix}source`]: 'shop',
      [`${style.prefix}type`]: 'order.created',
      [`${style.prefix}time`]: '2030-01-02T03:04:05.678Z',
      [`${style.prefix}partitionkey`]: 'tenant-7',
      [`${style.prefix}expirytime`]: '2031-01-01T00:00:00.000Z',
      'content-type': 'application/json',
      a: 'b',
    });
  });

  it('bring back any header name and value, also those that look like attributes', () => {
    const names = fc.oneof(
      fc.string({ minLength: 1 }),
      fc.constantFrom(
        '__proto__',
        'constructor',
        'content-type',
        `${style.prefix}id`,
        'ambus_x',
        'ambus_ambus_x',
      ),
    );
    const entries = fc.uniqueArray(fc.tuple(names, fc.string()), {
      selector: ([name]) => name,
      minLength: 1,
    });
    fc.assert(
      fc.property(entries, (given) => {
        const headers = Object.fromEntries(given);
        const back = fromHeaders(toHeaders({ ...full, headers }, style), full.body, arrival, style);
        expect(Object.entries(back.headers ?? {}).sort()).toEqual(Object.entries(headers).sort());
        expect(back.id).toBe(full.id);
      }),
    );
  });

  it('take a foreign message as it is', () => {
    const record = fromHeaders({ 'x-trace': 'abc' }, full.body, { ...arrival, key: 'k' }, style);
    expect(record).toMatchObject({
      id: 'place-1',
      topic: 'orders.created',
      time: 7,
      key: 'k',
      priority: 2,
      headers: { 'x-trace': 'abc' },
      contentType: undefined,
      extensions: undefined,
    });
  });

  it('fall back where a foreign producer wrote nonsense', () => {
    const nonsense = { [`${style.prefix}time`]: 'yesterday', [`${style.prefix}ambuspriority`]: '9' };
    expect(fromHeaders(nonsense, full.body, arrival, style)).toMatchObject({ time: 7, priority: 2 });
  });
});
