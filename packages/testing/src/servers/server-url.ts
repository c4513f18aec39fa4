import { ConfigError } from '@ambus/core';

/** Where somebody's own server is, and how it lets clients in. */
export interface ServerUrl {
  /** An IPv6 address without its brackets, as sockets take it. */
  readonly host: string;
  readonly port: number;
  /** With its colon. */
  readonly protocol: string;
  /** Empty where there is none. */
  readonly user: string;
  readonly password: string;
}

/**
 * Takes a url of the environment apart. `URL` alone would read `localhost:6380` as a url without a host, and its default
 * port could be that of another server, which is then emptied.
 *
 * @param defaultPorts - by the protocols that are allowed, with their colons
 * @throws {ConfigError} naming the variable, the allowed forms and the value without its login
 */
export function serverUrl(
  variable: string,
  text: string,
  defaultPorts: Readonly<Record<string, number>>,
): ServerUrl {
  const parsed = parse(text, defaultPorts);
  if (parsed !== undefined) return parsed;
  const forms = Object.keys(defaultPorts).map((protocol) => `${protocol}//host:port`);
  throw new ConfigError(
    `environment variable ${variable} must be the url of one server, ${forms.join(' or ')}, not ${withoutLogin(text)}`,
  );
}

function parse(text: string, defaultPorts: Readonly<Record<string, number>>): ServerUrl | undefined {
  try {
    const { protocol, hostname, port, username, password } = new URL(text);
    const defaultPort = defaultPorts[protocol];
    if (defaultPort === undefined || !/^[^,\s]+$/.test(hostname)) return undefined;
    return {
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: Number(port || defaultPort),
      protocol,
      user: decodeURIComponent(username),
      password: decodeURIComponent(password),
    };
  } catch {
    return undefined;
  }
}

/** An address for errors, in quotes. It may be malformed: all before its last "@" can be part of a secret. */
export const withoutLogin = (text: string): string =>
  JSON.stringify(text.replace(/^([a-z][a-z\d+.-]*:\/\/)?.*@/is, '$1***@'));
