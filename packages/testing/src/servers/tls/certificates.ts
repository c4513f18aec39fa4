import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import type { ServerTls } from '../types.ts';
import { bits, der, integer, objectId, octets, sequence, set, tagged, time, truth, utf8 } from './der.ts';

/** An authority, and what it signed. */
export interface Certificates {
  readonly client: ServerTls;
  readonly server: { readonly cert: string; readonly key: string };
}

interface Identity {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const ECDSA_SHA256 = sequence(objectId('1.2.840.10045.4.3.2'));
const COMMON_NAME = objectId('2.5.4.3');
const DAY = 24 * 60 * 60 * 1_000;

/** Makes an authority, a server's certificate for 127.0.0.1 and localhost, and a client's, good for thirty days. */
export function makeCertificates(): Certificates {
  const authority = identity('Ambus test authority');
  const server = identity('localhost');
  const client = identity('ambus');
  return {
    client: {
      ca: certificate(authority, authority, [basic(true), usage(0x06)]),
      cert: certificate(client, authority, clientAndServer()),
      key: pem(client),
    },
    server: { cert: certificate(server, authority, clientAndServer()), key: pem(server) },
  };
}

/** Servers of a cluster are each other's clients. */
const clientAndServer = (): Buffer[] => [
  basic(false),
  usage(0x80),
  extension('2.5.29.37', sequence(objectId('1.3.6.1.5.5.7.3.1'), objectId('1.3.6.1.5.5.7.3.2'))),
  extension(
    '2.5.29.17',
    sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.from([127, 0, 0, 1]))),
  ),
];

function identity(name: string): Identity {
  return { name, ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) };
}

const pem = ({ privateKey }: Identity): string =>
  privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

const extension = (id: string, value: Buffer, critical = false): Buffer =>
  sequence(objectId(id), ...(critical ? [truth] : []), octets(value));
const basic = (authority: boolean): Buffer =>
  extension('2.5.29.19', sequence(...(authority ? [truth] : [])), true);
const usage = (flags: number): Buffer => extension('2.5.29.15', bits(Buffer.from([flags])), true);
const named = (name: string): Buffer => sequence(set(sequence(COMMON_NAME, utf8(name))));

function certificate(subject: Identity, issuer: Identity, extensions: readonly Buffer[]): string {
  // A serial number is positive and has no needless zeros.
  const serial = randomBytes(16);
  serial[0] = ((serial[0] as number) & 0x7f) | 0x40;
  const now = Date.now();
  const content = sequence(
    tagged(0, integer(Buffer.from([2]))),
    integer(serial),
    ECDSA_SHA256,
    named(issuer.name),
    // An hour back: clocks of containers and hosts differ.
    sequence(time(new Date(now - DAY / 24)), time(new Date(now + 30 * DAY))),
    named(subject.name),
    keyOf(subject),
    tagged(3, sequence(...extensions, ...keyIds(subject, issuer))),
  );
  const signature = sign('sha256', content, issuer.privateKey);
  const text = sequence(content, ECDSA_SHA256, bits(signature)).toString('base64');
  return `-----BEGIN CERTIFICATE-----\n${text.match(/.{1,64}/g)?.join('\n')}\n-----END CERTIFICATE-----\n`;
}

const keyOf = ({ publicKey }: Identity): Buffer => publicKey.export({ type: 'spki', format: 'der' });
const keyId = (owner: Identity): Buffer => createHash('sha1').update(keyOf(owner)).digest();
const keyIds = (subject: Identity, issuer: Identity): Buffer[] => [
  extension('2.5.29.14', octets(keyId(subject))),
  extension('2.5.29.35', sequence(der(0x80, keyId(issuer)))),
];
