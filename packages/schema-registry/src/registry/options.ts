import { ConfigError, check } from '@ambus/core';

/** Options of `schemaRegistry()`. */
export interface SchemaRegistryOptions {
  /**
   * Where the Confluent REST API is: `https://registry:8081`, with a base path where it has one. Several are the members
   * of one registry: the next is asked when one does not answer. A user and password in a url are used for `auth`.
   * Default: the variable `AMB_SCHEMA_REGISTRY_URL`, in which commas separate several.
   */
  readonly url?: string | readonly string[] | undefined;
  /** Basic authentication, or a bearer token. Default: what the url says, else none. */
  readonly auth?:
    | { readonly user: string; readonly password: string }
    | { readonly token: string }
    | undefined;
  /** Certificates in PEM: of the registry's authority, and a client's own. Default: the authorities that Node trusts. */
  readonly tls?:
    | {
        readonly ca?: string | undefined;
        readonly cert?: string | undefined;
        readonly key?: string | undefined;
        readonly passphrase?: string | undefined;
      }
    | undefined;
  /**
   * Milliseconds that a lookup may take in all, with its retries. The first publish of a topic makes up to four in turn
   * (find, check, register, find), and as many for each reference that is registered with it. At least 1. Default 10,000.
   */
  readonly timeout?: number | undefined;
  /** Milliseconds until one HTTP request is given up. At least 1. Default 3,000. */
  readonly requestTimeout?: number | undefined;
  /**
   * How often a request is tried again that found no registry (also a 404 that is a gateway's), or a busy one (429 and
   * 5xx). The waits between grow from 100 milliseconds to 2 seconds. Default 4.
   */
  readonly retries?: number | undefined;
}

/** One member of the registry. */
export interface Endpoint {
  readonly url: URL;
  /** The header `authorization`. */
  readonly authorization: string | undefined;
}

/** The options, checked and with defaults. */
export interface Settings {
  readonly endpoints: readonly Endpoint[];
  readonly tls: NonNullable<SchemaRegistryOptions['tls']>;
  readonly timeout: number;
  readonly requestTimeout: number;
  readonly retries: number;
}

const VARIABLE = 'AMB_SCHEMA_REGISTRY_URL';

const { text } = check;

/** Of a longer text, such as a certificate or a token. */
const long = text(100_000);

/** Says what is allowed but not what it was: these hold secrets, also where they are wrong. */
function refuse(name: string, allowed: string): never {
  throw new ConfigError(`schemaRegistry option "${name}" must be ${allowed}`);
}

const PLAIN = {
  timeout: check.milliseconds(1),
  requestTimeout: check.milliseconds(1),
  retries: check.integer(0, 1_000),
};

const ANY: check.Check = () => undefined;
const SPEC: check.Spec<SchemaRegistryOptions> = { url: ANY, auth: ANY, tls: ANY, ...PLAIN };

/** @throws {ConfigError} naming the option or the variable, and what is allowed */
export function settings(options: SchemaRegistryOptions): Settings {
  check.checkOptions('schemaRegistry option', options, SPEC, ConfigError);
  const { url, auth, tls = {} } = options;
  if (check.object(tls) !== undefined || Object.entries(tls).some(([name, value]) => !isTls(name, value))) {
    refuse('tls', 'an object with ca, cert, key and passphrase, each a text');
  }
  if ((tls.cert === undefined) !== (tls.key === undefined))
    refuse('tls', 'without cert and key, or with both');
  return {
    endpoints: endpoints(url, authorization(auth)),
    tls,
    timeout: options.timeout ?? 10_000,
    requestTimeout: options.requestTimeout ?? 3_000,
    retries: options.retries ?? 4,
  };
}

const isTls = (name: string, value: unknown): boolean =>
  ['ca', 'cert', 'key', 'passphrase'].includes(name) && (value === undefined || long(value) === undefined);

function authorization(auth: SchemaRegistryOptions['auth']): string | undefined {
  if (auth === undefined) return undefined;
  const { user, password, token, ...rest } = (auth ?? {}) as Record<string, unknown>;
  if (Object.keys(rest).length === 0) {
    if (user === undefined && password === undefined && isToken(token)) return `Bearer ${token}`;
    if (token === undefined && isUser(user) && typeof password === 'string') return basic(user, password);
  }
  return refuse(
    'auth',
    '{ user, password } or { token }, each a text; a user has no colon, a token no space',
  );
}

const isUser = (user: unknown): user is string => long(user) === undefined && !(user as string).includes(':');
const isToken = (token: unknown): token is string =>
  long(token) === undefined && /^[\x21-\x7e]+$/.test(token as string);

const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

function endpoints(url: SchemaRegistryOptions['url'], given: string | undefined): Endpoint[] {
  const variable = process.env[VARIABLE];
  const urls: unknown[] = url === undefined ? (variable ?? '').split(',').filter(Boolean) : [url].flat();
  const where = url === undefined ? `environment variable ${VARIABLE}` : 'schemaRegistry option "url"';
  if (url === undefined && urls.length === 0) {
    throw new ConfigError(`schemaRegistry option "url", or environment variable ${VARIABLE}, is needed`);
  }
  if (urls.length === 0) throw new ConfigError(`${where} must name at least one registry`);
  return urls.map((one) => {
    const parsed = typeof one === 'string' ? URL.parse(one.trim()) : null;
    if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.search !== '' || parsed.hash !== '') {
      throw new ConfigError(`${where} must be a url like https://registry:8081, without query`);
    }
    const own = parsed.username === '' ? undefined : fromUrl(parsed, where);
    parsed.username = '';
    parsed.password = '';
    parsed.pathname = parsed.pathname.replace(/\/*$/, '/');
    return { url: parsed, authorization: given ?? own };
  });
}

function fromUrl({ username, password }: URL, where: string): string {
  try {
    return basic(decodeURIComponent(username), decodeURIComponent(password));
  } catch {
    throw new ConfigError(`${where} has a user or password that is not percent-encoded as urls are`);
  }
}
