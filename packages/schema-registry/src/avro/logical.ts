/** Logical types of one meaning each, by the type that they are stored as. */
const STORED_AS = {
  date: 'int',
  'time-millis': 'int',
  'time-micros': 'long',
  'timestamp-millis': 'long',
  'timestamp-micros': 'long',
  'timestamp-nanos': 'long',
  'local-timestamp-millis': 'long',
  'local-timestamp-micros': 'long',
  'local-timestamp-nanos': 'long',
  'big-decimal': 'bytes',
} as const;

/** What a value of a plain type means. */
export type Logical = { readonly kind: keyof typeof STORED_AS } | Decimal;

interface Decimal {
  readonly kind: 'decimal';
  readonly precision: number;
  readonly scale: number;
}

/**
 * The meaning of a schema with a `logicalType`; undefined for those that mean what they are stored as, and, as Avro
 * demands, for those that are not well-formed.
 */
export function logicalOf({
  type,
  logicalType,
  precision,
  scale = 0,
}: Record<string, unknown>): Logical | undefined {
  if (typeof logicalType === 'string' && Object.hasOwn(STORED_AS, logicalType)) {
    const kind = logicalType as keyof typeof STORED_AS;
    return type === STORED_AS[kind] ? { kind } : undefined;
  }
  if (logicalType !== 'decimal' || (type !== 'bytes' && type !== 'fixed')) return undefined;
  const isDecimal =
    Number.isInteger(precision) &&
    Number.isInteger(scale) &&
    (scale as number) >= 0 &&
    (precision as number) >= Math.max(1, scale as number);
  return isDecimal ? { kind: 'decimal', precision: precision as number, scale: scale as number } : undefined;
}

const PER_SECOND: Readonly<Record<string, bigint>> = {
  millis: 1_000n,
  micros: 1_000_000n,
  nanos: 1_000_000_000n,
};

/**
 * What is stored for a value of one logical type, as another one stores it: decimals of any scale, and timestamps of any
 * unit. Undefined where it would become another value.
 */
export function asLogical(value: unknown, from: Logical, to: Logical): unknown {
  if (from.kind === 'decimal' && to.kind === 'decimal') {
    if (from.scale === to.scale && from.precision <= to.precision) return value;
    const text = fromUnscaled(fromTwos(value as Uint8Array), from.scale);
    const unscaled = toUnscaled(text, to.precision, to.scale);
    return unscaled === undefined ? undefined : toTwos(unscaled, undefined);
  }
  if (from.kind === to.kind) return value;
  const [fromFamily, fromUnit] = unitOf(from);
  const [toFamily, toUnit] = unitOf(to);
  if (fromUnit === undefined || toUnit === undefined || fromFamily !== toFamily) return undefined;
  const scaled = (value as bigint) * toUnit;
  return scaled % fromUnit === 0n && isInt64(scaled / fromUnit) ? scaled / fromUnit : undefined;
}

/** The unit per second of a kind of timestamps; none for others. */
function unitOf({ kind }: Logical): [family: string, unit: bigint | undefined] {
  const [, family = '', unit = ''] = /^((?:local-)?timestamp)-(.*)$/.exec(kind) ?? [];
  return [family, PER_SECOND[unit]];
}

const isInt64 = (value: bigint): boolean => BigInt.asIntN(64, value) === value;

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
