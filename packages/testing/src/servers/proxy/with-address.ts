import { ConfigError } from '@ambus/core';

const CONNECTION_STRING = /^((?:.*;)?\s*Endpoint=sb:\/\/)[^;/]*(.*)$/is;

/**
 * A server's url with `address`, a host and port, for its own.
 *
 * @throws {ConfigError} for Azure Service Bus, unless it is the emulator
 */
export function withAddress(url: string, address: string): string {
  const [, start, rest] = CONNECTION_STRING.exec(url) ?? [];
  if (start !== undefined) {
    if (/UseDevelopmentEmulator=true/i.test(url)) return `${start}${address}${rest}`;
    throw new ConfigError(
      'a proxy needs a connection string with UseDevelopmentEmulator=true: clients of Azure Service Bus itself ask for TLS with the certificate of its own host',
    );
  }
  // Kafka's addresses have no scheme, and what has one is not always known to `URL`.
  const [, before = '', after = ''] = /^([a-z]+:\/\/(?:[^@/]*@)?)?[^/?]*(.*)$/.exec(url) ?? [];
  return `${before}${address}${after}`;
}
