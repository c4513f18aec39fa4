/** One argument of a command. */
export type Arg = string | number | Uint8Array;

/** Longest text that UTF-8 may make of one character of a string. */
const WIDEST = 3;

/**
 * A command in the server's protocol, in one buffer. Texts gather until bytes come, so that a message costs a few copies
 * and no buffer of its own.
 *
 * @param head - what comes before the arguments: name, script and keys
 */
export function encodeCommand(head: readonly (string | number)[], args: readonly Arg[] = []): Buffer {
  let capacity = 16 + 16 * head.length;
  for (const arg of args) capacity += 16 + (typeof arg === 'object' ? arg.byteLength : 0);
  let target = Buffer.allocUnsafe(capacity + 1024);
  let at = 0;
  let texts = `*${head.length + args.length}\r\n`;
  for (const arg of head) texts += `$${Buffer.byteLength(String(arg))}\r\n${arg}\r\n`;

  const room = (needed: number): void => {
    if (at + needed <= target.length) return;
    const grown = Buffer.allocUnsafe(Math.max(target.length * 2, at + needed));
    target.copy(grown, 0, 0, at);
    target = grown;
  };
  const flush = (): void => {
    room(texts.length * WIDEST);
    at += target.write(texts, at);
    texts = '';
  };

  for (const arg of args) {
    if (typeof arg === 'object') {
      texts += `$${arg.byteLength}\r\n`;
      flush();
      room(arg.byteLength);
      target.set(arg, at);
      at += arg.byteLength;
      texts = '\r\n';
    } else {
      const text = typeof arg === 'string' ? arg : String(arg);
      texts += `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
    }
  }
  flush();
  return target.subarray(0, at);
}
