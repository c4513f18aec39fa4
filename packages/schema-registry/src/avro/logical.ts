/** What a value of a plain type means. */
export type Logical =
  | { readonly kind: 'date' | 'timestamp' }
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number };

/**
 * The meaning of a schema with a `logicalType`; undefined for those that have no better form in JavaScript than their
 * number, and, as Avro demands, for those that are not well-formed.
 */
export function logicalOf({
  type,
  logicalType,
  precision,
  scale = 0,
}: Record<string, unknown>): Logical | undefined {
  if (logicalType === 'date' && type === 'int') return { kind: 'date' };
  if (logicalType === 'timestamp-millis' && type === 'long') return { kind: 'timestamp' };
  if (logicalType !== 'decimal' || (type !== 'bytes' && type !== 'fixed')) return undefined;
  const isDecimal =
    Number.isInteger(precision) &&
    Number.isInteger(scale) &&
    (scale as number) >= 0 &&
    (precision as number) >= Math.max(1, scale as number);
  return isDecimal ? { kind: 'decimal', precision: precision as number, scale: scale as number } : undefined;
}

const DAY = 24 * 60 * 60 * 1_000;

/** Days since 1970; undefined for a Date that is not at midnight UTC, since its time would be lost. */
export function toDays(date: Date): number | undefined {
  const days = date.getTime() / DAY;
  return Number.isInteger(days) ? days : undefined;
}

export const fromDays = (days: number): Date => new Date(days * DAY);

/** More would only be written by mistake, and be slow to write out in full. */
const LARGEST_EXPONENT = 10_000;

/** The digits of a decimal number at a scale: `12.3` at 2 is 1230n. Undefined where it is none, or has more digits. */
export function toUnscaled(text: string, precision: number, scale: number): bigint | undefined {
  const match = /^([-+]?)(\d+)(?:\.(\d+))?(?:[eE]([-+]?\d{1,6}))?$/.exec(text);
  if (match === null) return undefined;
  const [, sign, whole = '', fraction = '', exponent = '0'] = match;
  const shift = scale + Number(exponent) - fraction.length;
  if (Math.abs(shift) > LARGEST_EXPONENT) return undefined;
  let digits = whole + fraction;
  if (shift >= 0) {
    digits += '0'.repeat(shift);
  } else {
    const lost = digits.slice(shift);
    if (/[1-9]/.test(lost)) return undefined;
    digits = digits.slice(0, shift) || '0';
  }
  const unscaled = BigInt(digits);
  if (String(unscaled).length > precision) return undefined;
  return sign === '-' ? -unscaled : unscaled;
}

/** Undoes `toUnscaled`, with all digits of the scale: 1230n at 2 is `12.30`. */
export function fromUnscaled(unscaled: bigint, scale: number): string {
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  const at = digits.length - scale;
  const sign = unscaled < 0n ? '-' : '';
  return scale === 0 ? `${sign}${digits}` : `${sign}${digits.slice(0, at)}.${digits.slice(at)}`;
}

/** Two's complement, the highest byte first, in `size` bytes or as few as it takes; undefined where it does not fit. */
export function toTwos(value: bigint, size: number | undefined): Buffer | undefined {
  const bits = (value < 0n ? -value - 1n : value).toString(2).length + 1;
  const bytes = Math.ceil(bits / 8);
  const length = size ?? bytes;
  if (bytes > length) return undefined;
  const hex = BigInt.asUintN(length * 8, value)
    .toString(16)
    .padStart(length * 2, '0');
  return Buffer.from(hex, 'hex');
}

export function fromTwos(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n;
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
}
