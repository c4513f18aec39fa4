/** Writes a number by its text. Came to V8 together with `context.source` of `JSON.parse`; older ones have neither. */
export const rawJson: ((text: string) => unknown) | undefined = (
  JSON as { rawJSON?: (text: string) => unknown }
).rawJSON;

/** Whether `JSON.stringify` writes a number like an integer of more digits than the double has. */
export const isLongInteger = (value: number): boolean =>
  Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e21;

const isInteger = (text: string): boolean => !/[.eE]/.test(text);

/**
 * Whether `value` says all that a JSON number's `text` says. An integer beyond 2^53 - 1 never does, not even where a
 * double happens to hold it: an id must not change its type with its last digit.
 */
export function isExactText(text: string, value: number): boolean {
  if (isInteger(text)) return Number.isSafeInteger(value);
  return Number.isFinite(value) && canonical(text) === canonical(String(value));
}

/** The same text for all spellings of one number: its digits without zeros at either end, and their exponent. */
function canonical(text: string): string {
  const [, sign, whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([-+]?\d+))?$/.exec(text) ?? [];
  const digits = whole + fraction;
  let start = 0;
  let end = digits.length;
  while (digits[start] === '0') start++;
  if (start === end) return '0';
  while (digits[end - 1] === '0') end--;
  return `${sign}${digits.slice(start, end)}e${Number(exponent) - fraction.length + digits.length - end}`;
}
