import { describe } from '@ambus/core';

/** Names a place in a payload, given the keys from the outside in: `payload.orders[2].total`. */
export function placeIn(path: readonly unknown[]): string {
  let text = 'payload';
  for (const key of path) {
    text += typeof key === 'string' && /^[\w$]+$/.test(key) ? `.${key}` : `[${describe(key)}]`;
  }
  return text;
}
