import type { Address } from './driver/dial.ts';

/** What a url says. */
export interface FromUrl {
  readonly nodes: readonly Address[];
  readonly way: 'single' | 'cluster' | 'sentinel';
  readonly secure: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly db: number | undefined;
  /** Name of the master, on a url of sentinels. */
  readonly master: string | undefined;
}

const URL = /^redis(s?)(\+cluster|\+sentinel)?:\/\/(?:([^@/]*)@)?([^@/?]+)(\/[^?]*)?$/;
const DEFAULT_PORTS = { single: 6379, cluster: 6379, sentinel: 26379 } as const;

/**
 * `redis://user:password@host:6379/0`, `rediss://` for TLS; `redis+cluster://host1:7000,host2:7001`;
 * `redis+sentinel://host1:26379,host2:26379/master/0`. Undefined for anything else: a query, too, would be ignored.
 */
export function parseUrl(url: string): FromUrl | undefined {
  const [, secure, suffix, account, hosts, path = ''] = URL.exec(url) ?? [];
  if (hosts === undefined) return undefined;
  const way = suffix === '+cluster' ? 'cluster' : suffix === '+sentinel' ? 'sentinel' : 'single';
  const nodes = hosts.split(',').map((one) => addressOf(one, DEFAULT_PORTS[way]));
  if (nodes.some((node) => node === undefined) || (way === 'single' && nodes.length > 1)) return undefined;
  const parts = path.split('/').slice(1);
  const master = way === 'sentinel' ? parts.shift() : undefined;
  if (way === 'sentinel' && !master) return undefined;
  const db = parts[0] ? Number(parts[0]) : undefined;
  if (parts.length > 1 || (parts[0] && !/^\d{1,9}$/.test(parts[0]))) return undefined;
  const [username, password] = credentials(account);
  return { nodes: nodes as Address[], way, secure: secure === 's', username, password, db, master };
}

function addressOf(text: string, defaultPort: number): Address | undefined {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const number = port === undefined ? defaultPort : Number(port);
  return host === undefined || number < 1 || number > 65_535 ? undefined : { host, port: number };
}

function credentials(account: string | undefined): readonly [string | undefined, string | undefined] {
  if (!account) return [undefined, undefined];
  const at = account.indexOf(':');
  const decode = (text: string): string | undefined => {
    try {
      return decodeURIComponent(text) || undefined;
    } catch {
      return text || undefined;
    }
  };
  return at < 0
    ? [decode(account), undefined]
    : [decode(account.slice(0, at)), decode(account.slice(at + 1))];
}
