import type { Kind } from '../kind.ts';
import { nativeNats } from './native.ts';
import { checkNatsOptions, type NatsServerOptions } from './options.ts';
import { planNats, wipeNats } from './plan.ts';
import { natsSession } from './session.ts';

const IMAGES = { '2.15': 'nats:2.15', '2.11': 'nats:2.11', latest: 'nats:2' };

export const natsKind: Kind<NatsServerOptions> = {
  name: 'nats',
  variable: 'AMB_NATS_URL',
  check: checkNatsOptions,
  plan: planNats,
  native: nativeNats,
  // A cluster's servers tell clients their addresses, which a container does not know.
  image: ({ cluster, version }) => (cluster ? undefined : { name: IMAGES[version ?? 'latest'] }),
  attach(url) {
    const { hostname: host, port, username, password } = new URL(url);
    const login = password
      ? { user: decodeURIComponent(username), pass: decodeURIComponent(password) }
      : username && { auth_token: decodeURIComponent(username) };
    const address = { host, port: Number(port || 4222), answer: () => login || {} };
    return {
      url,
      host,
      port: address.port,
      version: () => natsSession(address, async ({ version }) => `NATS ${version}`),
      wipe: () => wipeNats(address),
    };
  },
};
