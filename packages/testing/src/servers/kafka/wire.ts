import { connect } from 'node:net';
import { ConnectionError } from '@ambus/core';

/** What a broker knows of its cluster. */
export interface KafkaMetadata {
  readonly brokers: number;
  /** Those of the applications. */
  readonly topics: readonly string[];
}

const METADATA = 3;
const DELETE_TOPICS = 20;
/** Milliseconds that an answer may take. */
const PATIENCE = 5_000;

const int16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
};
const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
const text = (value: string): Buffer => Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)]);

/** Sends one request and gives the body of its answer: enough of Kafka to wait for it and to empty it. */
function request(host: string, port: number, api: number, body: Buffer): Promise<Buffer> {
  // Version 1 of both: the oldest that Kafka 4 understands, and the last that is plainly written.
  const content = Buffer.concat([int16(api), int16(1), int32(1), text('ambus'), body]);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    let received = Buffer.alloc(0);
    const fail = (message: string, cause?: Error) => {
      socket.destroy();
      reject(new ConnectionError(`kafka at ${host}:${port}: ${message}`, { cause }));
    };
    socket.setTimeout(PATIENCE, () => fail('no answer'));
    socket.on('error', (error) => fail(error.message, error));
    socket.on('close', () => fail('connection closed'));
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (received.length < 4 || received.length < 4 + received.readInt32BE(0)) return;
      resolve(received.subarray(8));
      socket.destroy();
    });
    socket.write(Buffer.concat([int32(content.length), content]));
  });
}

/** Topics and brokers, as one broker knows them. */
export async function kafkaMetadata(host: string, port: number): Promise<KafkaMetadata> {
  const answer = await request(host, port, METADATA, int32(-1));
  let at = 0;
  const skip = (bytes: number) => {
    at += bytes;
  };
  const count = () => {
    skip(4);
    return answer.readInt32BE(at - 4);
  };
  const string = () => {
    const length = Math.max(answer.readInt16BE(at), 0);
    skip(2 + length);
    return answer.toString('utf8', at - length, at);
  };
  const each = (one: () => void) => {
    for (let left = count(); left > 0; left--) one();
  };

  let brokers = 0;
  each(() => {
    brokers++;
    skip(4);
    string();
    skip(4);
    string();
  });
  const topics: string[] = [];
  skip(4);
  each(() => {
    skip(2);
    const name = string();
    const isInternal = answer[at] === 1;
    skip(1);
    each(() => {
      skip(2 + 4 + 4);
      each(() => skip(4));
      each(() => skip(4));
    });
    if (!isInternal) topics.push(name);
  });
  return { brokers, topics };
}

/** Deletes topics and waits until they are gone from this broker's sight. */
export async function deleteKafkaTopics(
  host: string,
  port: number,
  topics: readonly string[],
): Promise<void> {
  if (topics.length === 0) return;
  const names = Buffer.concat([int32(topics.length), ...topics.map(text)]);
  await request(host, port, DELETE_TOPICS, Buffer.concat([names, int32(PATIENCE)]));
}
