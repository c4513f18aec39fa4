import { crc32 } from 'node:zlib';
import type { RawClient, RawMessage } from '@ambus/conformance';
import { connect, headers as makeHeaders, type NatsConnection, type StoredMsg } from 'nats';

/** What the driver's types leave out. */
interface Reader {
  getMessage(stream: string, query: object): Promise<StoredMsg>;
}

/** The driver alone, with the names of `docs/wire-format.md` and nothing of the package. */
export function rawClient(url: () => string): RawClient & { close(): Promise<void> } {
  let connection: Promise<NatsConnection> | undefined;
  const open = (): Promise<NatsConnection> => {
    const { hostname, port, username, password } = new URL(url());
    connection ??= connect({
      servers: `${hostname}:${port}`,
      ...(username === '' ? {} : { user: username, pass: password }),
    });
    return connection;
  };
  return {
    async publish(prefix, topic, { body, headers }) {
      const client = await open();
      const head = makeHeaders();
      for (const [name, value] of Object.entries(headers)) head.set(name.replace(/^ce_/, 'ce-'), value);
      const key = headers.ce_partitionkey;
      const recordClass = key === undefined ? 'n' : `k${crc32(key) % 8}`;
      await client.jetstream().publish(`${prefix}.t.${recordClass}.${topic}`, body, { headers: head });
    },
    async read(prefix, topic) {
      const client = await open();
      // Asked of who leads the stream: the others of a cluster may be a moment behind.
      const streams: Reader = (await client.jetstreamManager()).streams as never;
      const found: RawMessage[] = [];
      for (let seq = 1; ; ) {
        const message = await streams
          .getMessage(prefix, { seq, next_by_subj: `${prefix}.t.*.${topic}` })
          .catch((error: Error) => {
            if (!/no message found/.test(error.message)) throw error;
          });
        if (message === undefined) return found;
        const names = [...message.header.keys()].filter((name) => !name.startsWith('Nats-'));
        const entries = names.map((name) => [name.replace(/^ce-/, 'ce_'), message.header.get(name)]);
        found.push({ body: message.data, headers: Object.fromEntries(entries) });
        seq = message.seq + 1;
      }
    },
    async close() {
      await (await connection)?.close();
    },
  };
}
