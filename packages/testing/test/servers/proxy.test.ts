import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FaultProxy, faultProxy } from '../../src/index.ts';
import { until } from '../../src/servers/process/until.ts';

let echo: Server;
let inside: Set<Socket>;
let proxy: FaultProxy;

beforeEach(async () => {
  inside = new Set();
  echo = createServer({ allowHalfOpen: true }, (socket) => {
    inside.add(socket);
    socket.on('close', () => inside.delete(socket));
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
  const { port } = echo.address() as AddressInfo;
  proxy = await faultProxy({ host: '127.0.0.1', port, url: `redis://me:secret@127.0.0.1:${port}/3` });
});

afterEach(async () => {
  await proxy.close();
  for (const socket of inside) socket.destroy();
  await new Promise((resolve) => echo.close(resolve));
});

interface Client {
  readonly socket: Socket;
  received(): string;
  readonly closed: Promise<unknown>;
}

function client(): Client {
  const socket = connect(proxy.port, proxy.host);
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    text += bytes;
  });
  return { socket, received: () => text, closed: new Promise((resolve) => socket.on('close', resolve)) };
}

const arrives = ({ received }: Client, text: string) =>
  until(async () => {
    if (received() !== text) throw new Error(`${received().length} of ${text.length} came`);
  }, 5_000);
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

describe('a fault proxy', () => {
  test('has the url of the server with its own address', () => {
    expect(proxy.url).toBe(`redis://me:secret@127.0.0.1:${proxy.port}/3`);
  });

  test.each([
    [
      'Endpoint=sb://localhost:5672;SharedAccessKey=a/b=;UseDevelopmentEmulator=true;',
      'Endpoint=sb://HERE;SharedAccessKey=a/b=;UseDevelopmentEmulator=true;',
    ],
    [
      'UseDevelopmentEmulator=true; endpoint=sb://[::1]/;EntityPath=a',
      'UseDevelopmentEmulator=true; endpoint=sb://HERE/;EntityPath=a',
    ],
    ['a:9092,b:9092', 'HERE'],
    ['http://me@a:1/b?c', 'http://me@HERE/b?c'],
  ])('before %s has the url %s', async (url, expected) => {
    await using other = await faultProxy({ host: '127.0.0.1', port: 1, url });
    expect(other.url).toBe(expected.replace('HERE', `127.0.0.1:${other.port}`));
  });

  test('is not put before Azure Service Bus itself, which speaks TLS as its own host', async () => {
    const url = 'Endpoint=sb://a.servicebus.windows.net/;SharedAccessKey=SECRET';
    const refused = faultProxy({ host: 'a', port: 5671, url });
    await expect(refused).rejects.toMatchObject({ code: 'CONFIG' });
    await expect(refused).rejects.toThrow(/UseDevelopmentEmulator=true(?!.*SECRET)/);
  });

  test.each([
    [{ host: '', port: 1, url: 'a' }, 'faultProxy "host" must be'],
    [{ port: 1, url: 'a' }, 'faultProxy "host" must be'],
    [
      { host: 'a', port: 70_000, url: 'a' },
      'faultProxy "port" must be a whole number from 1 to 65535, not 70000',
    ],
    [{ host: 'a', port: '6379', url: 'a' }, 'faultProxy "port" must be'],
    [{ host: 'a', port: 1 }, 'faultProxy "url" must be'],
    [undefined, 'what faultProxy is given must be an object'],
  ])('is not put before %o', async (target, text) => {
    await expect(faultProxy(target as never)).rejects.toMatchObject({
      code: 'VALIDATION',
      message: expect.stringContaining(text),
    });
  });

  test.each([Number.NaN, -1, Number.POSITIVE_INFINITY, 2 ** 31, '5', undefined])(
    'does not delay by %s, and goes on as before',
    async (milliseconds) => {
      expect(() => proxy.delay(milliseconds as number)).toThrow(
        /delay must be a whole number of milliseconds from 0 to 2147483647, not /,
      );
      const one = client();
      one.socket.write('a');
      await arrives(one, 'a');
    },
  );

  test('passes every byte in order, also much of it, and ends as the server ends', async () => {
    const one = client();
    const text = Array.from({ length: 400_000 }, (_, index) => `${index},`).join('');
    one.socket.end(text);
    await arrives(one, text);
    await one.closed;
    await until(async () => {
      if (proxy.connections + inside.size > 0) throw new Error('open');
    }, 2_000);
  });

  test('cut drops what is open and what comes, until restore', async () => {
    const one = client();
    one.socket.write('a');
    await arrives(one, 'a');
    proxy.cut();
    await one.closed;
    await client().closed;
    expect(proxy.connections).toBe(0);
    proxy.restore();
    const other = client();
    other.socket.write('b');
    await arrives(other, 'b');
  });

  test('drop drops what is open, and new connections pass', async () => {
    const one = client();
    one.socket.write('a');
    await arrives(one, 'a');
    proxy.drop();
    await one.closed;
    const other = client();
    other.socket.write('b');
    await arrives(other, 'b');
  });

  test('delay makes each way take longer, and keeps the order', async () => {
    proxy.delay(100);
    const one = client();
    const start = performance.now();
    for (const letter of 'abcdef') one.socket.write(letter);
    await arrives(one, 'abcdef');
    expect(performance.now() - start).toBeGreaterThanOrEqual(195);
    proxy.restore();
    const again = performance.now();
    one.socket.write('g');
    await arrives(one, 'abcdefg');
    expect(performance.now() - again).toBeLessThan(195);
  });

  test('what the server said before it closed arrives despite a delay', async () => {
    const one = client();
    one.socket.write('a');
    await arrives(one, 'a');
    proxy.delay(100);
    for (const socket of inside) socket.end('bye');
    await arrives(one, 'abye');
    await one.closed;
  });

  test('blackhole lets nothing pass and closes nothing; restore lets it go on', async () => {
    const one = client();
    one.socket.write('a');
    await arrives(one, 'a');
    proxy.blackhole();
    one.socket.write('b');
    const late = client();
    late.socket.write('c');
    await pause(200);
    expect(one.received()).toBe('a');
    expect(late.received()).toBe('');
    expect([one.socket.destroyed, late.socket.destroyed, inside.size]).toEqual([false, false, 1]);
    proxy.restore();
    await arrives(one, 'ab');
    await late.closed;
  });

  test('a blackhole hides from the server that its client has gone', async () => {
    const one = client();
    one.socket.write('a');
    await arrives(one, 'a');
    proxy.blackhole();
    one.socket.destroy();
    await pause(100);
    expect(inside.size).toBe(1);
    proxy.restore();
    await until(async () => {
      if (inside.size > 0) throw new Error('open');
    }, 2_000);
  });

  test('half-open closes the side of the server and does not tell the client', async () => {
    const one = client();
    one.socket.write('a');
    await arrives(one, 'a');
    proxy.halfOpen();
    await until(async () => {
      if (inside.size > 0) throw new Error('open');
    }, 2_000);
    one.socket.write('b');
    await pause(100);
    expect(one.socket.destroyed).toBe(false);
    proxy.restore();
    await one.closed;
  });
});

describe('a fault proxy before a client that does not read', () => {
  const SIZE = 64 * 1024 * 1024;
  /** What a connection through the proxy holds at most: its own buffers and those of the system on both sides. */
  const HELD = 24 * 1024 * 1024;
  let upstream: Server;
  let written: number;
  let slow: FaultProxy;
  let reader: Socket;
  let read: number;

  beforeEach(async () => {
    written = 0;
    upstream = createServer((socket) => {
      socket.on('error', () => {});
      const chunk = Buffer.alloc(64 * 1024);
      const more = () => {
        while (written < SIZE) {
          written += chunk.length;
          if (!socket.write(chunk)) return;
        }
        socket.end();
      };
      socket.on('drain', more);
      more();
    });
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
    const { port } = upstream.address() as AddressInfo;
    slow = await faultProxy({ host: '127.0.0.1', port, url: `tcp://127.0.0.1:${port}` });
    reader = connect(slow.port, slow.host);
    reader.on('error', () => {});
    reader.pause();
    read = 0;
  });

  afterEach(async () => {
    reader.destroy();
    await slow.close();
    await new Promise((resolve) => upstream.close(resolve));
  });

  const start = () => {
    reader.on('data', (bytes) => {
      read += bytes.length;
    });
    reader.resume();
  };
  /** Resolves when nothing more comes. */
  const quiet = async (count: () => number) => {
    for (let before = -1; before !== count(); ) {
      before = count();
      await pause(300);
    }
  };
  const allIsRead = () =>
    until(async () => {
      if (read !== SIZE) throw new Error(`${read} of ${SIZE} came`);
    }, 15_000);

  test.each([0, 20])(
    'slows the server, and passes all once it reads, with a delay of %i ms',
    async (delay) => {
      slow.delay(delay);
      await quiet(() => written);
      expect(written).toBeLessThan(HELD);
      start();
      await allIsRead();
    },
  );

  test.each(['blackhole', 'halfOpen'] as const)('holds back in %s what it has taken', async (fault) => {
    await quiet(() => written);
    slow[fault]();
    start();
    await quiet(() => read);
    // What the system has taken over already is out of reach.
    expect(read).toBeLessThan(HELD);
    slow.restore();
    if (fault === 'blackhole') await allIsRead();
  });
});

test('hands its port back when it is closed, however many there were', async () => {
  const target = { host: '127.0.0.1', port: 1, url: 'redis://127.0.0.1:1' };
  for (let n = 0; n < 10_500; n += 50) {
    const some = await Promise.all(Array.from({ length: 50 }, () => faultProxy(target)));
    await Promise.all(some.map((one) => one.close()));
  }
}, 60_000);
