/** Version 1, independent blocks of at most 64 KiB, no checksums but this of the head. */
const HEAD = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
const BLOCK = 65_536;
const PLAIN = 0x80000000;

/** LZ4's frame format: written with blocks that are not compressed, and read as any encoder writes it. */
export function compress(data: Buffer): Buffer {
  const parts: Buffer[] = [HEAD];
  for (let at = 0; at < data.length; at += BLOCK) {
    const block = data.subarray(at, at + BLOCK);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(PLAIN + block.length);
    parts.push(length, block);
  }
  return Buffer.concat([...parts, Buffer.alloc(4)]);
}

export function decompress(data: Buffer): Buffer {
  const flags = data[4]!;
  let at = 7 + (flags & 8 ? 8 : 0);
  const parts: Buffer[] = [];
  for (;;) {
    const head = data.readUInt32LE(at);
    at += 4;
    if (head === 0) return Buffer.concat(parts);
    const length = head % PLAIN;
    const block = data.subarray(at, at + length);
    parts.push(head >= PLAIN ? block : decode(block));
    at += length + (flags & 16 ? 4 : 0);
  }
}

function decode(block: Buffer): Buffer {
  const out = Buffer.alloc(BLOCK);
  let at = 0;
  let to = 0;
  const more = (length: number): number => {
    let sum = length;
    for (let byte = 255; length === 15 && byte === 255; sum += byte) byte = block[at++]!;
    return sum;
  };
  for (;;) {
    const token = block[at++]!;
    const literals = more(token >> 4);
    to += block.copy(out, to, at, at + literals);
    at += literals;
    if (at >= block.length) return out.subarray(0, to);
    const distance = block.readUInt16LE(at);
    at += 2;
    const length = more(token & 15) + 4;
    for (let n = 0; n < length; n++, to++) out[to] = out[to - distance]!;
  }
}
