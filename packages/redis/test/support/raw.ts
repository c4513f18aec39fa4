import type { RawClient, RawMessage } from '@ambus/conformance';
import { Redis } from 'ioredis';

const KINDS = ['0', '1', '2', '3', '4', 'k'] as const;

/** Attributes whose names on the wire are not `ce_` and theirs. */
const toHeader = (name: string): string => (name === 'datacontenttype' ? 'content-type' : `ce_${name}`);

function toRaw(fields: readonly Buffer[]): RawMessage {
  const named = new Map<string, Buffer>();
  for (let at = 0; at < fields.length; at += 2) named.set(fields[at]!.toString(), fields[at + 1]!);
  const { headers, ...attributes } = JSON.parse(named.get('meta')?.toString() ?? '{}');
  const entries = Object.entries(attributes as Record<string, string>).map(
    ([name, value]) => [toHeader(name), value] as const,
  );
  return { body: named.get('data')!, headers: { ...headers, ...Object.fromEntries(entries) } };
}

/** What any program could do with ioredis alone. */
export function rawClient(url: () => string): RawClient {
  const withClient = async <T>(work: (client: Redis) => Promise<T>): Promise<T> => {
    const client = new Redis(url());
    try {
      return await work(client);
    } finally {
      client.disconnect();
    }
  };
  return {
    async publish(prefix, topic, { body, headers }) {
      const fields = Object.entries(headers).flat();
      await withClient((client) =>
        client.xadd(`{${prefix}.0}:stream:${topic}:2`, '*', ...fields, 'data', Buffer.from(body)),
      );
    },
    read: (prefix, topic) =>
      withClient(async (client) => {
        const streams = await Promise.all(
          KINDS.map((kind) => client.xrangeBuffer(`{${prefix}.0}:stream:${topic}:${kind}`, '-', '+')),
        );
        return streams
          .flat()
          .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))
          .map(([, fields]) => toRaw(fields as Buffer[]));
      }),
  };
}
