import { randomBytes } from 'node:crypto';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { ConnectionError } from '@ambus/core';
import { type NatsFrame, natsFrames } from './frames.ts';

export interface NatsAddress {
  readonly host: string;
  readonly port: number;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Whether the server says nothing before it has spoken TLS. */
  readonly tlsFirst?: boolean | undefined;
  /** Fields of CONNECT. */
  answer(nonce: string): object;
}

/** What a NATS server says of itself when a client comes. */
interface ServerInfo {
  readonly version: string;
  readonly nonce?: string;
  readonly tls_required?: boolean;
}

/** A connection that a server has let in. */
export interface NatsSession {
  readonly version: string;
  /** Asks JetStream's API: subject without `$JS.API.`. Rejects when it answers with an error. */
  jetStream(subject: string, request?: object): Promise<Record<string, unknown>>;
  /** Publishes to a stream, and resolves when that has confirmed it. */
  publish(subject: string, text: string): Promise<void>;
}

/** Milliseconds that an answer may take. */
const PATIENCE = 2_000;

/** Enough of NATS to wait for a server and to empty it, with no driver installed. */
export async function natsSession<T>(
  address: NatsAddress,
  use: (session: NatsSession) => Promise<T>,
): Promise<T> {
  const { host, port } = address;
  const inbox = `_INBOX.${randomBytes(8).toString('hex')}`;
  const plain = connectTcp({ host, port });
  let socket: Socket = plain;
  let wanted: ((frame: NatsFrame) => boolean) | undefined;
  let settle: { resolve(frame: NatsFrame): void; reject(error: Error): void } | undefined;

  const fail = (message: string, cause?: unknown) =>
    settle?.reject(new ConnectionError(`nats at ${host}:${port}: ${message}`, { cause }));
  const listen = (to: Socket) => {
    to.setTimeout(PATIENCE, () => fail('no answer'));
    to.on('error', (error) => fail(error.message, error));
    to.on('close', () => fail('connection closed'));
    to.on(
      'data',
      natsFrames((frame) => {
        if (frame.kind === '-ERR') fail(frame.rest);
        else if (wanted?.(frame)) settle?.resolve(frame);
      }),
    );
  };
  const next = (want: (frame: NatsFrame) => boolean) =>
    new Promise<NatsFrame>((resolve, reject) => {
      wanted = want;
      settle = { resolve, reject };
    });

  try {
    const secure = () => {
      const { ca, cert, key } = address;
      socket = connectTls({ socket: plain, ca, cert, key, rejectUnauthorized: ca !== undefined });
      listen(socket);
    };
    if (address.tlsFirst) secure();
    else listen(plain);
    const info: ServerInfo = JSON.parse((await next(({ kind }) => kind === 'INFO')).rest);
    if (info.tls_required && !address.tlsFirst) {
      plain.removeAllListeners('data');
      secure();
    }
    const connect = {
      verbose: false,
      pedantic: false,
      lang: 'ambus',
      version: '0',
      protocol: 1,
      headers: true,
    };
    const login = JSON.stringify({ ...connect, no_responders: true, ...address.answer(info.nonce ?? '') });
    const pong = next(({ kind }) => kind === 'PONG');
    socket.write(`CONNECT ${login}\r\nSUB ${inbox} 1\r\nPING\r\n`);
    await pong;
    const ask = async (subject: string, body: string) => {
      const reply = next(({ kind }) => kind === 'MSG' || kind === 'HMSG');
      socket.write(`PUB ${subject} ${inbox} ${Buffer.byteLength(body)}\r\n${body}\r\n`);
      const { payload, kind } = await reply;
      // Only "nobody answers" comes with headers.
      const answer = kind === 'HMSG' ? { error: { description: 'nobody answers' } } : JSON.parse(payload);
      if (answer.error) throw new ConnectionError(`NATS ${subject}: ${answer.error.description}`);
      return answer;
    };
    return await use({
      version: info.version,
      jetStream: (subject, request = {}) => ask(`$JS.API.${subject}`, JSON.stringify(request)),
      async publish(subject, text) {
        await ask(subject, text);
      },
    });
  } finally {
    socket.destroy();
    plain.destroy();
  }
}
