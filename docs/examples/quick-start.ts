import { createBus } from '@ambus/core';

await using bus = await createBus(); // AMB_BROKER, else memory

await bus.subscribe('tasks.*.created', async (msg) => console.log('working on', msg.data), {
  group: 'workers',
  concurrency: 8,
});
await bus.respond('agents.query', async (req) => ({ status: 'active', asked: req.data.q }));

await bus.publish('tasks.42.created', { id: 42 }, { priority: 'high', key: 'tenant-7' });
const { data } = await bus.request('agents.query', { q: 'status?' }, { timeout: 5_000 });
console.log('the agent says', data);
