import type { NodePlan, ServerPlan } from '../kind.ts';
import { freePorts } from '../process/ports.ts';
import { until } from '../process/until.ts';
import { makeCertificates } from '../tls/certificates.ts';
import type { ServerCredentials } from '../types.ts';
import { makeNatsAuth } from './auth.ts';
import type { NatsServerOptions } from './options.ts';
import { type NatsAddress, natsSession } from './session.ts';

/** Milliseconds that a cluster gets to elect. */
const PATIENCE = 30_000;

export async function planNats(options: NatsServerOptions, host: string): Promise<ServerPlan> {
  const { cluster, jetStream = true, args = [] } = options;
  const certificates = options.tls ? makeCertificates() : undefined;
  let auth = makeNatsAuth(options);
  const ports = await freePorts(cluster ?? 1);
  const routes = cluster === undefined ? [] : await freePorts(cluster);

  const address = (port: number): NatsAddress => ({
    ...{ host: '127.0.0.1', port, tlsFirst: options.tls === 'first', ...certificates?.client },
    answer: (nonce) => auth.answer(nonce),
  });
  const answers = (port: number, api: boolean) =>
    natsSession(address(port), async (session) => {
      if (api) await session.jetStream('INFO');
      return session.version;
    });

  const config = (port: number, index: number): string =>
    [
      `server_name: n${index + 1}`,
      `listen: "${host}:${port}"`,
      // What JetStream confirms is written, and the system keeps what a killed process wrote: a sync after each message
      // would only help against a loss of power.
      ...(jetStream ? ['jetstream { store_dir: data }'] : []),
      ...(certificates === undefined ? [] : [tlsConfig(options.tls)]),
      ...(routes.length === 0 ? [] : [clusterConfig(routes, index)]),
      // The least that the server takes; it would be minutes.
      'lame_duck_duration: "30s"',
      'lame_duck_grace_period: "100ms"',
      'include auth.conf',
      options.config ?? '',
    ].join('\n');

  const nodes = await Promise.all(
    ports.map(
      async (port, index): Promise<NodePlan> => ({
        name: `n${index + 1}`,
        url: () => natsUrl(port, auth.credentials, options.tls),
        port,
        ports: [port, ...(routes.length === 0 ? [] : [routes[index] as number])],
        program: 'nats-server',
        args: ['--config', 'nats.conf', ...args],
        files: {
          'nats.conf': config(port, index),
          'auth.conf': `${auth.config}\n`,
          ...(certificates === undefined
            ? {}
            : {
                'ca.pem': certificates.client.ca,
                'server.pem': certificates.server.cert,
                'server.key': certificates.server.key,
              }),
        },
        // One server of a cluster has no leader to ask as long as the others are down.
        ready: () => answers(port, jetStream && cluster === undefined),
      }),
    ),
  );

  const [first] = ports as [number];
  return {
    nodes,
    ...(certificates === undefined ? {} : { tls: certificates.client }),
    credentials: auth.credentials,
    ...(cluster !== undefined && jetStream
      ? {
          async settled() {
            await Promise.all(ports.map((port) => until(() => answers(port, true), PATIENCE)));
          },
        }
      : {}),
    version: async () => `NATS ${await answers(first, false)}`,
    wipe: () => wipeNats(address(first)),
    ...(options.auth === 'jwt'
      ? {}
      : {
          async rotate(change) {
            const next = makeNatsAuth(options);
            await change({ 'auth.conf': `${next.config}\n` }, 'SIGHUP');
            auth = next;
            await until(() => answers(first, false), PATIENCE);
            return next.credentials;
          },
        }),
  };
}

/**
 * Deletes all streams that are there now, and with them their consumers. Not those that clients make anew meanwhile: to
 * them their state would be lost twice.
 */
export async function wipeNats(address: NatsAddress): Promise<void> {
  await natsSession(address, async ({ jetStream }) => {
    const names: string[] = [];
    for (;;) {
      const { streams, total } = await jetStream('STREAM.NAMES', { offset: names.length });
      const page = (streams ?? []) as readonly string[];
      names.push(...page);
      if (page.length === 0 || names.length >= Number(total)) break;
    }
    for (const name of names) await jetStream(`STREAM.DELETE.${name}`);
  });
}

const tlsConfig = (tls: NatsServerOptions['tls']): string =>
  `tls { ca_file: ca.pem, cert_file: server.pem, key_file: server.key, verify: ${tls === 'mutual'}, handshake_first: ${tls === 'first'} }`;

const clusterConfig = (routes: readonly number[], index: number): string =>
  `cluster { name: ambus, listen: "127.0.0.1:${routes[index]}", routes: ${JSON.stringify(
    routes.filter((_, other) => other !== index).map((port) => `nats://127.0.0.1:${port}`),
  )} }`;

function natsUrl(port: number, { user, password, token }: ServerCredentials, tls: unknown): string {
  const login = token ?? (user === undefined ? '' : `${user}:${password}`);
  return `${tls ? 'tls' : 'nats'}://${login && `${login}@`}127.0.0.1:${port}`;
}
