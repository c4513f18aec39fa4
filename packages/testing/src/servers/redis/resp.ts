import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { ConnectionError } from '@ambus/core';
import type { ServerCredentials } from '../types.ts';

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly tls: boolean;
  readonly credentials: ServerCredentials;
}

/** Milliseconds that an answer may take. */
const PATIENCE = 5_000;

const encode = (args: readonly string[]): string =>
  `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`;

/**
 * Sends commands over a connection of their own and gives their answers as the server wrote them: enough to wait for a
 * server and to empty it, with no driver installed. Rejects with the first error that the server answers.
 */
export function redisCommands(
  address: RedisAddress,
  commands: readonly (readonly string[])[],
): Promise<string[]> {
  const { user, password } = address.credentials;
  const login = password === undefined ? [] : [['AUTH', ...(user === undefined ? [] : [user]), password]];
  const all = [...login, ...commands];
  const { host, port, ca, cert, key } = address;
  return new Promise((resolve, reject) => {
    const socket = address.tls
      ? connectTls({ host, port, ca, cert, key, rejectUnauthorized: ca !== undefined })
      : connectTcp({ host, port });
    let received = '';
    const finish = (error?: Error) => {
      socket.destroy();
      if (error === undefined) resolve(answers(received).slice(login.length));
      else reject(new ConnectionError(`redis at ${host}:${port}: ${error.message}`, { cause: error }));
    };
    socket.setTimeout(PATIENCE, () => finish(new Error('no answer')));
    socket.on('error', finish);
    socket.on('close', () => finish(new Error('connection closed')));
    socket.on('data', (bytes: Buffer) => {
      received += bytes.toString('latin1');
      const found = answers(received);
      const failed = found.find((answer) => answer.startsWith('-'));
      if (failed !== undefined) finish(new Error(failed.slice(1)));
      else if (found.length === all.length) finish();
    });
    socket.write(all.map(encode).join(''));
  });
}

/** The answers in `text` that are whole: bulk strings by their content, others with the sign of their type. */
function answers(text: string): string[] {
  const found: string[] = [];
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\r\n', at);
    if (end < 0) break;
    const line = text.slice(at, end);
    at = end + 2;
    if (line.startsWith('$')) {
      const length = Number(line.slice(1));
      if (text.length < at + length + 2) break;
      found.push(text.slice(at, at + length));
      at += length + 2;
    } else found.push(line);
  }
  return found;
}
