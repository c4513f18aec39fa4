/** One line that a NATS server sends, with the payload that follows it. */
export interface NatsFrame {
  readonly kind: string;
  /** What follows the kind on its line. */
  readonly rest: string;
  readonly payload: string;
}

/** Cuts what comes from a server into frames. */
export function natsFrames(receive: (frame: NatsFrame) => void): (bytes: Buffer) => void {
  let waiting = '';
  return (bytes) => {
    waiting += bytes.toString('latin1');
    for (;;) {
      const end = waiting.indexOf('\r\n');
      if (end < 0) return;
      const [, kind = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(waiting.slice(0, end)) ?? [];
      const size = kind === 'MSG' || kind === 'HMSG' ? Number(rest.split(' ').at(-1)) + 2 : 0;
      if (waiting.length < end + 2 + size) return;
      const payload = waiting.slice(end + 2, Math.max(end + size, end + 2));
      waiting = waiting.slice(end + 2 + size);
      receive({ kind, rest, payload });
    }
  };
}
