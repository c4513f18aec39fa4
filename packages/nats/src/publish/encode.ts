/** Messages of one batch, as bytes of the protocol. */
export class Frames {
  readonly #parts: (string | Uint8Array)[] = [];
  #size = 0;

  /** @returns bytes of headers and body together */
  add(subject: string, reply: string | undefined, head: string, body: Uint8Array): number {
    const headSize = Buffer.byteLength(head);
    const size = headSize + body.length;
    const to = reply === undefined ? subject : `${subject} ${reply}`;
    const line = `HPUB ${to} ${headSize} ${size}\r\n`;
    this.#parts.push(line + head, body);
    this.#size += line.length + size + 2;
    return size;
  }

  get isEmpty(): boolean {
    return this.#parts.length === 0;
  }

  /** One piece of memory: the socket gets it whole. */
  bytes(): Buffer {
    const bytes = Buffer.allocUnsafe(this.#size);
    let at = 0;
    for (const part of this.#parts) {
      if (typeof part === 'string') {
        at += bytes.write(part, at);
      } else {
        bytes.set(part, at);
        at += part.length;
        bytes[at++] = 0x0d;
        bytes[at++] = 0x0a;
      }
    }
    return bytes;
  }
}
