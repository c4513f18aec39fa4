import { createHash } from 'node:crypto';
import { base32, makeNkey, type Nkey } from './nkeys.ts';

/** An operator with one account that may do all, and one user of it. */
export interface JwtTree {
  /** Lines of the server's configuration. */
  readonly config: string;
  readonly user: Nkey;
  readonly jwt: string;
  /** Text of the user's `.creds` file. */
  readonly creds: string;
}

const EVERYTHING = {
  ...{ subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 },
  ...{ mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 },
};

export function makeJwtTree(): JwtTree {
  const operator = makeNkey('operator');
  const system = makeNkey('account');
  const account = makeNkey('account');
  const user = makeNkey('user');
  const plain = { ...EVERYTHING, mem_storage: 0, disk_storage: 0, streams: 0, consumer: 0 };
  const accounts = {
    [system.public]: token(operator, system.public, 'SYS', { type: 'account', limits: plain }),
    [account.public]: token(operator, account.public, 'ambus', { type: 'account', limits: EVERYTHING }),
  };
  const jwt = token(account, user.public, 'ambus', {
    ...{ type: 'user', pub: {}, sub: {}, subs: -1, data: -1, payload: -1 },
  });
  const preload = Object.entries(accounts).map(([name, text]) => `  ${name}: ${text}`);
  return {
    config: [
      `operator: ${token(operator, operator.public, 'ambus', { type: 'operator' })}`,
      `system_account: ${system.public}`,
      'resolver: MEMORY',
      `resolver_preload: {\n${preload.join('\n')}\n}`,
    ].join('\n'),
    user,
    jwt,
    creds: [
      `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n`,
      `-----BEGIN USER NKEY SEED-----\n${user.seed}\n------END USER NKEY SEED------\n`,
    ].join('\n'),
  };
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function token(issuer: Nkey, subject: string, name: string, claims: object): string {
  const content = {
    ...{ iat: Math.floor(Date.now() / 1_000), iss: issuer.public, name, sub: subject },
    nats: { ...claims, version: 2 },
  };
  const jti = base32(createHash('sha256').update(JSON.stringify(content)).digest());
  const signed = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part({ jti, ...content })}`;
  return `${signed}.${issuer.sign(signed).toString('base64url')}`;
}
