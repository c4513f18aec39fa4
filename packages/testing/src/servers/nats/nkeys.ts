import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';

export type NkeyKind = 'operator' | 'account' | 'user';

/** The first byte of a key tells whose it is: in base32 the letters O, A and U. */
const KINDS: Record<NkeyKind, number> = { operator: 14 << 3, account: 0, user: 20 << 3 };
const SEED = 18 << 3;

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** What comes before the 32 bytes of an Ed25519 key in PKCS #8. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** A NATS identity. */
export interface Nkey {
  readonly public: string;
  readonly seed: string;
  sign(data: string): Buffer;
}

export function makeNkey(kind: NkeyKind): Nkey {
  const type = KINDS[kind];
  const bytes = randomBytes(32);
  const key: KeyObject = createPrivateKey({
    key: Buffer.concat([PKCS8, bytes]),
    format: 'der',
    type: 'pkcs8',
  });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return {
    public: encode([type], spki.subarray(-32)),
    seed: encode([SEED | (type >> 5), (type & 31) << 3], bytes),
    sign: (data) => sign(null, Buffer.from(data), key),
  };
}

function encode(prefix: readonly number[], key: Buffer): string {
  const bytes = Buffer.concat([Buffer.from(prefix), key]);
  const sum = crc16(bytes);
  return base32(Buffer.concat([bytes, Buffer.from([sum & 0xff, sum >> 8])]));
}

function crc16(bytes: Buffer): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc;
}

export function base32(bytes: Buffer): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(value >> bits) & 31];
    }
    value &= (1 << bits) - 1;
  }
  return bits > 0 ? text + ALPHABET[(value << (5 - bits)) & 31] : text;
}
