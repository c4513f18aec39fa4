import { randomBytes } from 'node:crypto';
import type { ServerCredentials } from '../types.ts';
import { makeJwtTree } from './jwt.ts';
import { makeNkey } from './nkeys.ts';
import type { NatsServerOptions } from './options.ts';

/** How this server lets clients in. */
export interface NatsAuth {
  /** Lines of the server's configuration. */
  readonly config: string;
  readonly credentials: ServerCredentials;
  /** Fields of CONNECT, for a server that sent this nonce. */
  answer(nonce: string): object;
}

export function makeNatsAuth({ auth, users = [] }: NatsServerOptions): NatsAuth {
  const secret = randomBytes(12).toString('hex');
  switch (auth) {
    case undefined:
      return { config: '', credentials: {}, answer: () => ({}) };
    case 'user': {
      const credentials = { user: 'ambus', password: secret };
      return {
        config: `authorization { users: ${JSON.stringify([credentials, ...users])} }`,
        credentials,
        answer: () => ({ user: credentials.user, pass: secret }),
      };
    }
    case 'token':
      return {
        config: `authorization { token: "${secret}" }`,
        credentials: { token: secret },
        answer: () => ({ auth_token: secret }),
      };
    case 'nkey': {
      const key = makeNkey('user');
      return {
        config: `authorization { users: [{ nkey: ${key.public} }] }`,
        credentials: { seed: key.seed },
        answer: (nonce) => ({ nkey: key.public, sig: key.sign(nonce).toString('base64url') }),
      };
    }
    case 'jwt': {
      const { config, user, jwt, creds } = makeJwtTree();
      return {
        config,
        credentials: { creds },
        answer: (nonce) => ({ jwt, sig: user.sign(nonce).toString('base64url') }),
      };
    }
  }
}
