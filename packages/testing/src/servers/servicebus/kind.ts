import { ConfigError, check } from '@ambus/core';
import type { Kind } from '../kind.ts';
import { commonChecks } from '../options.ts';
import { connectOnce } from '../process/connect-once.ts';
import { serverUrl } from '../server-url.ts';
import type { CommonServerOptions } from '../types.ts';

/** Options of `startServer('servicebus')`. */
export type ServiceBusServerOptions = CommonServerOptions;

const HOW =
  'Azure Service Bus has no server that can be started here: run its emulator and set AMB_SERVICEBUS_URL to its connection string';

/** Only attached to: Microsoft's emulator is two images that share a network, which a compose file starts best. */
export const serviceBusKind: Kind<ServiceBusServerOptions> = {
  name: 'servicebus',
  variable: 'AMB_SERVICEBUS_URL',
  check: (options) =>
    check.checkOptions<ServiceBusServerOptions>('startServer option', options, commonChecks, ConfigError),
  async plan() {
    throw new ConfigError(HOW);
  },
  async native() {
    throw new ConfigError(HOW);
  },
  image: () => undefined,
  attach(url) {
    const [, endpoint] = /(?:^|;)\s*Endpoint=([^;]*)/i.exec(url) ?? [];
    if (endpoint === undefined)
      throw new ConfigError(
        'environment variable AMB_SERVICEBUS_URL must be a connection string with Endpoint=sb://host:port',
      );
    const local = /UseDevelopmentEmulator=true/i.test(url);
    const { host, port } = serverUrl('AMB_SERVICEBUS_URL: Endpoint', endpoint, {
      'sb:': local ? 5672 : 5671,
    });
    return {
      url,
      host,
      port,
      async version() {
        await connectOnce({ host, port });
        return local ? 'Azure Service Bus emulator' : 'Azure Service Bus';
      },
      async wipe() {
        throw new ConfigError('what is on Azure Service Bus is deleted with its own tools');
      },
    };
  },
};
