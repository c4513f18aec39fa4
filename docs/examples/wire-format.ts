import { fromHeaders, type HeaderStyle, toHeaders } from '@ambus/core';
import { createTestBus, VirtualClock } from '@ambus/testing';

const clock = new VirtualClock({ start: new Date('2026-01-31T12:00:00Z') });
await using test = await createTestBus({ clock, source: 'planner' });

// #region publish
await test.bus.publish(
  'tasks.42.created',
  { id: 42 },
  {
    id: '0198f3a0-0000-7000-8000-000000000042',
    key: 'tenant-7',
    priority: 'high',
    ttl: 60_000,
    correlationId: 'order-7',
    headers: { tenant: 'acme', ce_id: 'mine' },
  },
);
const record = test.hub.records('tasks.42.created')[0]!;
// #endregion publish

// #region bytes
const style: HeaderStyle = { prefix: 'ce_', contentType: 'content-type' };
const headers = toHeaders(record, style);
for (const [name, value] of Object.entries(headers)) console.log(`${name}: ${value}`);
console.log('body:', Buffer.from(record.body).toString('hex'), `(${Buffer.from(record.body)})`);
// #endregion bytes

// #region foreign
const arrival = { topic: 'tasks.7.created', channel: 'durable', id: '1-0', time: clock.now() } as const;
const foreign = fromHeaders({ 'content-type': 'application/json' }, Buffer.from('{"id":7}'), arrival, style);
console.log(foreign.id, foreign.topic, foreign.contentType, foreign.source);
console.log(fromHeaders(headers, record.body, arrival, style).headers);
// #endregion foreign
