const SEED = 0x9747b28c;
const M = 0x5bd1e995;

/** The hash by which Kafka's Java client picks a partition for a key, so that programs in any language agree. */
export function murmur2(data: Uint8Array): number {
  let hash = SEED ^ data.length;
  const whole = data.length & ~3;
  for (let at = 0; at < whole; at += 4) {
    let k = data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24);
    k = Math.imul(k, M);
    k ^= k >>> 24;
    hash = Math.imul(hash, M) ^ Math.imul(k, M);
  }
  const left = data.length - whole;
  if (left >= 3) hash ^= data[whole + 2]! << 16;
  if (left >= 2) hash ^= data[whole + 1]! << 8;
  if (left >= 1) hash = Math.imul(hash ^ data[whole]!, M);
  hash = Math.imul(hash ^ (hash >>> 13), M);
  return hash ^ (hash >>> 15);
}

/** The partition of a key. */
export function partitionOf(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}
