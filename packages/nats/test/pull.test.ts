import { createBus, type Message } from '@ambus/core';
import { startServer } from '@ambus/testing';
import { expect, it } from 'vitest';
import { nats } from '../src/index.ts';

it('counts no delivery that nobody has seen, whenever a pull ends', async () => {
  const numbers = Array.from({ length: 20 }, (_, n) => n);
  // What the server was about to send when it heard that nobody listens any more. A server that is busy shows it.
  for (let round = 0; round < 5; round++) {
    await using server = await startServer('nats', { quiet: true });
    const broker = () => nats({ url: server.url });
    const pullAndSubscribe = async (topic: string): Promise<void> => {
      await using bus = await createBus({ broker: broker(), logger: false });
      await using other = await createBus({ broker: broker(), logger: false });
      const standing = await bus.subscribe(topic, () => {}, { group: 'g' });
      await standing.unsubscribe();
      await Promise.all(numbers.map((n) => bus.publish(topic, n)));
      const [first] = await bus.receive(topic, { group: 'g', max: 1 });
      await first?.ack();
      const others: Message[] = [];
      await other.subscribe(topic, (message) => void others.push(message), { group: 'g' });
      await expect.poll(() => others.length, { timeout: 10_000 }).toBe(19);
      expect(others.filter(({ attempt }) => attempt !== 1).map(({ data }) => data)).toEqual([]);
    };
    await Promise.all(Array.from({ length: 25 }, (_, n) => pullAndSubscribe(`pulled.${n}`)));
  }
}, 60_000);
