import { describe, expect, test } from 'vitest';
import { startServer } from '../../src/index.ts';
import { http } from '../../src/servers/process/http.ts';
import { reachableFrom } from '../support/servers.ts';

const native = { via: 'native' } as const;
/** A first start downloads. */
const LONG = 180_000;

const registered = { 'content-type': 'application/vnd.schemaregistry.v1+json' };
const schema = JSON.stringify({ schema: '{"type":"string"}' });

describe('a schema registry', () => {
  test.each([false, true])(
    'registers schemas and is emptied, with tls %s',
    async (tls) => {
      await using server = await startServer('schema-registry', { ...native, tls });
      expect(await reachableFrom(server.port)).toEqual([]);
      const url = `${server.url}/subjects`;
      const post = { method: 'POST', headers: registered, body: schema, ...server.tls };
      for (const subject of ['orders', 'a%2Fb']) {
        expect(await http(`${url}/${subject}/versions`, post)).toContain('"id"');
      }
      await http(`${url}/orders`, { method: 'DELETE', ...server.tls });
      await server.wipe();
      expect(JSON.parse(await http(`${url}?deleted=true`, server.tls))).toEqual([]);
      await server.restart();
      expect(JSON.parse(await http(url, server.tls))).toEqual([]);
    },
    LONG,
  );
});

describe('SQS and SNS', () => {
  test(
    'make queues and topics and are emptied',
    async () => {
      await using server = await startServer('sqs', native);
      expect(server.version).toMatch(/^LocalStack /);
      expect(await reachableFrom(server.port)).toEqual([]);
      const call = (service: string, parameters: Record<string, string>) =>
        http(server.url, {
          method: 'POST',
          headers: {
            'content-type': 'application/x-www-form-urlencoded',
            authorization: `AWS4-HMAC-SHA256 Credential=a/20250101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=a`,
          },
          body: new URLSearchParams(parameters).toString(),
        });
      await call('sqs', { Action: 'CreateQueue', QueueName: 'orders' });
      const topic = await call('sns', { Action: 'CreateTopic', Name: 'orders' });
      const TopicArn = /<TopicArn>(.+)<\/TopicArn>/.exec(topic)?.[1] ?? '';
      const queue = TopicArn.replace(':sns:', ':sqs:');
      const subscribe = (Protocol: string, Endpoint: string) =>
        call('sns', { Action: 'Subscribe', TopicArn, Protocol, Endpoint });
      await subscribe('sqs', queue);
      // Nobody there confirms it.
      await subscribe('http', 'http://127.0.0.1:1/');
      const subscriptions = await call('sns', { Action: 'ListSubscriptions' });
      expect(subscriptions).toMatch(/<SubscriptionArn>arn:.*<SubscriptionArn>PendingConfirmation</s);
      expect(await call('sqs', { Action: 'ListQueues' })).toContain('/orders');
      await server.wipe();
      expect(await call('sqs', { Action: 'ListQueues' })).not.toContain('/orders');
      expect(await call('sns', { Action: 'ListTopics' })).not.toContain(':orders');
      expect(await call('sns', { Action: 'ListSubscriptions' })).not.toContain('<SubscriptionArn>arn:');
      await server.restart();
    },
    LONG,
  );
});
