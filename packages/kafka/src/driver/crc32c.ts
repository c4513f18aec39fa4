/** Eight tables: eight bytes a step. The checksum runs over every byte that is published. */
const TABLES: readonly Int32Array[] = tables();

function tables(): Int32Array[] {
  const first = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0x82f63b78;
    first[byte] = crc;
  }
  const all = [first];
  for (let table = 1; table < 8; table++) {
    const before = all[table - 1]!;
    all.push(first.map((_, byte) => (before[byte]! >>> 8) ^ first[before[byte]! & 0xff]!));
  }
  return all;
}

const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

/** CRC-32C (Castagnoli) of the bytes from `start` on. */
export function crc32c(data: Uint8Array, start = 0): number {
  let crc = -1;
  let at = start;
  for (const end = data.length - 7; at < end; at += 8) {
    crc ^= data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24);
    crc =
      T7[crc & 0xff]! ^
      T6[(crc >>> 8) & 0xff]! ^
      T5[(crc >>> 16) & 0xff]! ^
      T4[crc >>> 24]! ^
      T3[data[at + 4]!]! ^
      T2[data[at + 5]!]! ^
      T1[data[at + 6]!]! ^
      T0[data[at + 7]!]!;
  }
  for (; at < data.length; at++) crc = T0[(crc ^ data[at]!) & 0xff]! ^ (crc >>> 8);
  return (crc ^ -1) >>> 0;
}
