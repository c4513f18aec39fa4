/** Snappy's block format, of literals only: what any decoder of it reads, and enough to read that back. */
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
  while (data[at]! > 127) at++;
  at++;
  const parts: Buffer[] = [];
  while (at < data.length) {
    const tag = data[at]!;
    if (tag !== 61 << 2) throw new Error('not one of ours');
    const length = data.readUInt16LE(at + 1) + 1;
    parts.push(data.subarray(at + 3, at + 3 + length));
    at += 3 + length;
  }
  return Buffer.concat(parts);
}
