import type { StartPosition } from '@ambus/core';

/** The id after which a new group starts. */
export function startOf(from: StartPosition): string {
  if (from === 'new') return '$';
  if (from === 'earliest' || from.getTime() <= 0) return '0';
  return `${from.getTime() - 1}-18446744073709551615`;
}
