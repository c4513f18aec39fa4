import { ConfigError } from '@ambus/core';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { driverError } from '../src/driver/errors.ts';
import { type KafkaOptions, kafka } from '../src/index.ts';
import { settings } from '../src/options.ts';

afterEach(() => vi.unstubAllEnvs());

/** The error that `kafka()` refuses these options with. */
function refusal(options: unknown): string {
  try {
    kafka(options as KafkaOptions);
  } catch (error) {
    expect(ConfigError.is(error)).toBe(true);
    return (error as Error).message;
  }
  throw new Error('they were accepted');
}

describe('an option that is not allowed is refused by name', () => {
  it.each([
    [{ brokers: '' }, 'brokers'],
    [{ brokers: 'localhost' }, 'brokers'],
    [{ brokers: [] }, 'brokers'],
    [{ brokers: ['a:1', 'b'] }, 'brokers'],
    [{ url: 'nats://a:1' }, 'url'],
    [{ url: 'kafka://a' }, 'url'],
    [{ url: 'kafka://me:50%off@a:1' }, 'url'],
    [{ url: 'kafka://50%off:x@a:1' }, 'url'],
    [{ url: 'kafka://a:1', brokers: 'b:1' }, 'brokers'],
    [{ clientId: '' }, 'clientId'],
    [{ ssl: 'yes' }, 'ssl'],
    [{ sasl: { mechanism: 'magic' } }, 'sasl'],
    [{ sasl: 'plain' }, 'sasl'],
    [{ socketFactory: {} }, 'socketFactory'],
    [{ connectionTimeout: 0 }, 'connectionTimeout'],
    [{ requestTimeout: 99 }, 'requestTimeout'],
    [{ sessionTimeout: 99 }, 'sessionTimeout'],
    [{ heartbeatInterval: 9 }, 'heartbeatInterval'],
    [{ rebalanceTimeout: -1 }, 'rebalanceTimeout'],
    [{ groupInstanceId: '' }, 'groupInstanceId'],
    [{ partitions: 0 }, 'partitions'],
    [{ replicationFactor: 0 }, 'replicationFactor'],
    [{ maxMessageBytes: 0 }, 'maxMessageBytes'],
    [{ acks: 'none' }, 'acks'],
    [{ linger: -1 }, 'linger'],
    [{ batchBytes: 0 }, 'batchBytes'],
    [{ compression: 'brotli' }, 'compression'],
    [{ compression: 'snappy' }, 'compression'],
    [{ codecs: 'snappy' }, 'codecs'],
    [{ codecs: { lz4: () => ({}) } }, 'codecs'],
    [{ codecs: { brotli: { compress() {}, decompress() {} } } }, 'codecs'],
    [{ maxBytes: 0 }, 'maxBytes'],
    [{ maxBytesPerPartition: 1.5 }, 'maxBytesPerPartition'],
    [{ maxPollRecords: 0 }, 'maxPollRecords'],
    [{ maxWait: 0 }, 'maxWait'],
    [{ autoCommit: 'yes' }, 'autoCommit'],
    [{ autoCommitInterval: 0 }, 'autoCommitInterval'],
    [{ broker: 'a:1' }, 'broker'],
  ])('%j', (options, name) => {
    expect(refusal(options)).toContain(`"${name}"`);
  });

  it('and so is the variable', () => {
    vi.stubEnv('AMB_KAFKA_BROKERS', 'localhost');
    expect(refusal({})).toContain('AMB_KAFKA_BROKERS');
  });

  it('without showing a password', () => {
    expect(refusal({ url: 'kafka://me:hunter2@' })).not.toContain('hunter2');
    expect(refusal({ url: 'kafka://me:hunter%2@a:1' })).not.toContain('hunter');
    expect(refusal({ sasl: { mechanism: 'magic', password: 'hunter2' } })).not.toContain('hunter2');
  });
});

describe('a url', () => {
  it('says the same as brokers, sasl and ssl', () => {
    const { brokers, sasl, ssl } = settings({ url: 'kafkas://me:p%40ss@a:1,b:2' }).client('x');
    expect([brokers, sasl, ssl]).toEqual([
      ['a:1', 'b:2'],
      { mechanism: 'plain', username: 'me', password: 'p@ss' },
      true,
    ]);
  });
});

describe('what the driver throws', () => {
  const thrown = (name: string, message: string, code?: string): Error =>
    Object.assign(new Error(message), { name, code });

  it.each([
    ['a host name', thrown('KafkaJSConnectionError', 'getaddrinfo ENOTFOUND my-ssl-alert', 'ENOTFOUND')],
    ['a cut handshake', thrown('KafkaJSConnectionError', 'eof', 'ERR_SSL_UNEXPECTED_EOF_WHILE_READING')],
    ['a slow handshake', thrown('Error', 'TLS handshake timeout', 'ERR_TLS_HANDSHAKE_TIMEOUT')],
    ['a connection that went while logging in', thrown('KafkaJSConnectionError', 'Closed connection')],
  ])('is worth another try: %s', (_, error) => {
    expect(driverError(error, 'connecting', true).retryable).toBe(true);
  });

  it.each([
    ['an unknown authority', thrown('Error', 'x', 'SELF_SIGNED_CERT_IN_CHAIN')],
    ['another host', thrown('Error', 'x', 'ERR_TLS_CERT_ALTNAME_INVALID')],
    ['an old certificate', thrown('Error', 'x', 'CERT_HAS_EXPIRED')],
    ['no certificate of ours', thrown('Error', 'x', 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED')],
    ['no TLS there', thrown('Error', 'x', 'ERR_SSL_WRONG_VERSION_NUMBER')],
    ['credentials', thrown('KafkaJSProtocolError', 'Authentication failed: hunter2')],
  ])('is not: %s', (_, error) => {
    const found = driverError(error, 'connecting', true);
    expect([found.retryable, found.message.includes('hunter2')]).toEqual([false, false]);
  });
});
