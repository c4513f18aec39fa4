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
    while (parcels[0] !== undefined && parcels[0].due <= now) {
      const { bytes } = parcels.shift() as Parcel;
      if (bytes === undefined) to.end();
      else if (to.writable) {
        underWay -= bytes.length;
        if (!to.write(bytes)) return;
      }
    }
    const next = parcels[0];
    if (next !== undefined) timer = setTimeout(pass, Math.ceil(next.due - now)).unref();
    else if (underWay <= MAX_UNDER_WAY && !from.readableEnded) from.resume();
  }

  from.on('data', receive);
  from.on('end', () => receive(undefined));
  to.on('drain', pass);
  to.on('close', () => {
    parcels = [];
    clearTimeout(timer);
  });

  return {
    set(next) {
      mode = next;
      if (next.kind === 'pass') {
        from.resume();
        pass();
      } else {
        clearTimeout(timer);
        from.pause();
      }
    },
  };
}
