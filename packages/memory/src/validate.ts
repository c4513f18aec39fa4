import { type Clock, ConfigError } from '@ambus/core';

/** @throws {ConfigError} always */
export function refuse(option: string, value: unknown, allowed: string): never {
  throw new ConfigError(`memory: option "${option}" is ${show(value)}, allowed is ${allowed}`, {
    broker: 'memory',
  });
}

/** @throws {ConfigError} naming the first option that nothing reads */
export function refuseUnknown(of: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) refuse('options', options, 'an object');
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new ConfigError(`memory: ${of} has no option "${name}", it has ${known.join(', ')}`, {
        broker: 'memory',
      });
    }
  }
}

/** @throws {ConfigError} */
export function checkName(option: string, value: unknown): void {
  if (typeof value !== 'string' || !/^[A-Za-z0-9_-]{1,64}$/.test(value)) {
    refuse(option, value, '1 to 64 letters, digits, "_" or "-"');
  }
}

/** @throws {ConfigError} */
export function checkClock(value: Clock | undefined): void {
  if (value === undefined) return;
  if (typeof value?.now !== 'function' || typeof value.setTimeout !== 'function') {
    refuse('clock', value, 'an object with now, setTimeout and clearTimeout');
  }
}

/** Whether `value` is a finite number of at least `min`. */
export function atLeast(min: number, value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= min;
}

export function positive(value: unknown): boolean {
  return atLeast(0, value) && value > 0;
}

/** Whether `value` is a whole number from 1. */
export function whole(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

function show(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'function') return String(value);
  return JSON.stringify(value) ?? String(value);
}
