import { ConfigError, check } from '@ambus/core';
import type { Kind } from '../kind.ts';
import { commonChecks } from '../options.ts';
import { connectOnce } from '../process/connect-once.ts';
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
    const [, host, port] = /Endpoint=sb:\/\/([^/:;]+)(?::(\d+))?/i.exec(url) ?? [];
    if (host === undefined)
      throw new ConfigError('AMB_SERVICEBUS_URL must be a connection string with an Endpoint');
    const local = /UseDevelopmentEmulator=true/i.test(url);
    const place = { host, port: Number(port ?? (local ? 5672 : 5671)) };
    return {
      url,
      ...place,
      async version() {
        await connectOnce(place);
        return local ? 'Azure Service Bus emulator' : 'Azure Service Bus';
      },
      async wipe() {
        throw new ConfigError('what is on Azure Service Bus is deleted with its own tools');
      },
    };
  },
};
