import { connect } from 'node:net';
import { ConnectionError } from '@ambus/core';

/** Milliseconds that a connection may take. */
const PATIENCE = 5_000;

/** Resolves when something accepts a connection there. */
export function connectOnce({ host, port }: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: PATIENCE });
    const fail = (cause?: Error) => {
      socket.destroy();
      reject(new ConnectionError(`nobody answers at ${host}:${port}`, { cause }));
    };
    socket.on('timeout', () => fail());
    socket.on('error', fail);
    socket.on('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}
