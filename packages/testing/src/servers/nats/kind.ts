import type { Kind } from '../kind.ts';
import { serverUrl } from '../server-url.ts';
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
    const { host, port, user, password } = serverUrl('AMB_NATS_URL', url, { 'nats:': 4222, 'tls:': 4222 });
    const login = password ? { user, pass: password } : user && { auth_token: user };
    const address = { host, port, answer: () => login || {} };
    return {
      url,
      host,
      port,
      version: () => natsSession(address, async ({ version }) => `NATS ${version}`),
      wipe: () => wipeNats(address),
    };
  },
};
