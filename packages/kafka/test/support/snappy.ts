/** Snappy's block format: written as literals only, which any decoder reads, and read as any encoder writes it. */
export function compress(data: Buffer): Buffer {
  const parts: Buffer[] = [];
  const length: number[] = [];
  let rest = data.length;
  for (; rest > 127; rest >>>= 7) length.push((rest & 127) | 128);
  parts.push(Buffer.from([...length, rest]));
  for (let at = 0; at < data.length; at += 65_536) {
    const chunk = data.subarray(at, at + 65_536);
    const tag = Buffer.from([61 << 2, 0, 0]);
    tag.writeUInt16LE(chunk.length - 1, 1);
    parts.push(tag, chunk);
  }
  return Buffer.concat(parts);
}

export function decompress(data: Buffer): Buffer {
  let at = 0;
  let size = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = data[at++]!;
    size |= (byte & 127) << shift;
    if (byte < 128) break;
  }
  const out = Buffer.alloc(size);
  let to = 0;
  while (at < data.length) {
    const tag = data[at++]!;
    const kind = tag & 3;
    if (kind === 0) {
      let length = (tag >> 2) + 1;
      if (length > 60) {
        const bytes = length - 60;
        length = data.readUIntLE(at, bytes) + 1;
        at += bytes;
      }
      to += data.copy(out, to, at, at + length);
      at += length;
      continue;
    }
    const length = kind === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
    const bytes = kind === 3 ? 4 : kind;
    const distance = data.readUIntLE(at, bytes) + (kind === 1 ? (tag >> 5) << 8 : 0);
    at += bytes;
    // Byte by byte: it may repeat what it has just written.
    for (let n = 0; n < length; n++, to++) out[to] = out[to - distance]!;
  }
  if (to !== size) throw new Error('not of that length');
  return out;
}
