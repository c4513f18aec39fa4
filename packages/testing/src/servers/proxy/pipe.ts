import type { Socket } from 'node:net';
import type { ProxyMode } from './fault-proxy.ts';

/** Carries bytes one way. */
export interface Pipe {
  set(mode: ProxyMode): void;
}

/** What has been read and waits for its time; `undefined` is the end. */
interface Parcel {
  readonly bytes: Buffer | undefined;
  readonly due: number;
}

/** Above so many bytes under way it reads no more, so that a slow side slows the other as without a proxy. */
const MAX_UNDER_WAY = 4 * 1024 * 1024;

export function pipe(from: Socket, to: Socket): Pipe {
  let mode: ProxyMode = { kind: 'pass', delay: 0 };
  let parcels: Parcel[] = [];
  let underWay = 0;
  let timer: NodeJS.Timeout | undefined;

  function receive(bytes: Buffer | undefined): void {
    const delay = mode.kind === 'pass' ? mode.delay : 0;
    underWay += bytes?.length ?? 0;
    if (underWay > MAX_UNDER_WAY) from.pause();
    parcels.push({ bytes, due: performance.now() + delay });
    pass();
  }

  function pass(): void {
    clearTimeout(timer);
    if (mode.kind !== 'pass') return;
    const now = performance.now();
    // What a socket has taken it sends in any mode, however much it is: so it gets no more than it asks for.
    while (parcels[0] !== undefined && parcels[0].due <= now && !to.writableNeedDrain) {
      const { bytes } = parcels.shift() as Parcel;
      underWay -= bytes?.length ?? 0;
      if (bytes === undefined) to.end();
      else if (to.writable) to.write(bytes);
    }
    const next = parcels[0];
    if (next !== undefined && !to.writableNeedDrain)
      timer = setTimeout(pass, Math.ceil(next.due - now)).unref();
    if (underWay <= MAX_UNDER_WAY && !from.readableEnded) from.resume();
  }

  from.on('data', receive);
  from.on('end', () => receive(undefined));
  to.on('drain', pass);
  to.on('close', () => {
    parcels = [];
    underWay = 0;
    clearTimeout(timer);
  });

  return {
    set(next) {
      mode = next;
      if (next.kind === 'pass') pass();
      else {
        clearTimeout(timer);
        from.pause();
      }
    },
  };
}
