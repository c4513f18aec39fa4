import { createServer, type IncomingMessage, request } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { registry } from './registry.ts';

/** What a request is answered with instead of by the registry. */
export type Intercepted = readonly [status: number, body: string] | undefined;

interface Gateway extends AsyncDisposable {
  /** Host and port. */
  readonly address: string;
  readonly seen: { requests: number };
}

/** Stands before the real registry, which gets what `intercept` does not answer. */
export async function gateway(
  intercept: (request: IncomingMessage) => Intercepted,
  secure?: { ca: string; cert: string; key: string },
): Promise<Gateway> {
  const seen = { requests: 0 };
  const { hostname, port, pathname } = new URL(registry.server.url);
  const handler: Parameters<typeof createServer>[1] = (incoming, response) => {
    seen.requests++;
    const answer = intercept(incoming);
    if (answer !== undefined) {
      response.writeHead(answer[0]).end(answer[1]);
      return;
    }
    const { method, url, headers } = incoming;
    const forward = request({ host: hostname, port, path: pathname + url, method, headers }, (answered) => {
      response.writeHead(answered.statusCode!, answered.headers);
      answered.pipe(response);
    });
    incoming.pipe(forward);
  };
  const server = secure
    ? createSecureServer({ ...secure, requestCert: true, rejectUnauthorized: true }, handler)
    : createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { address, seen, [Symbol.asyncDispose]: async () => void server.close() };
}
