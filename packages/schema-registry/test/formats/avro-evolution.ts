import { SerializationError } from '@ambus/core';
import { expect, it } from 'vitest';
import { type AvroOptions, avro } from '../../src/avro/avro.ts';
import { on, registry } from '../support/registry.ts';

const field = (type: unknown, more: object = {}, name = 'p') => ({ name, type, ...more });
const record = (...fields: object[]) => ({ type: 'record', name: 'R', fields });
const symbols = (...names: string[]) => ({ type: 'enum', name: 'E', symbols: names });

/** Writes values with one schema, and gives what reads them as another. */
async function evolve(written: object | string, own: object | string, options: AvroOptions = {}) {
  const topic = registry.topic('evolution');
  const made = (schema: object | string, subject: string) =>
    avro({ ...options, registry: registry.client(), schemas: { '#': { schema, subject } } });
  const writer = await made(written, `${topic}-written`);
  const reader = await made(own, `${topic}-own`);
  return async (value: unknown) => reader.deserialize(await writer.serialize(value, on(topic)), on(topic));
}

it.each<[string, unknown, unknown, unknown[], unknown[]]>([
  ['a field that became nullable', ['null', 'string'], 'string', ['x'], [null]],
  ['a union with a new branch', ['null', 'string', 'int'], ['null', 'string'], ['x', null], [5]],
  ['a field of no common type', 'string', 'long', [], ['1']],
])('reads what can be read, and refuses the rest: %s', async (_name, written, own, readable, others) => {
  const through = await evolve(record(field(written)), record(field(own)));
  for (const p of readable) expect(await through({ p })).toStrictEqual({ p });
  for (const p of others) {
    const error: any = await through({ p }).catch((error: unknown) => error);
    expect(SerializationError.is(error), String(error)).toBe(true);
    expect(error.message).toContain('payload.p');
  }
});

it.each<[string, unknown, unknown, unknown, unknown]>([
  ['int to long', 'int', 'long', 5, 5n],
  ['int to a nullable long', 'int', ['null', 'long'], 5, 5n],
  ['long to double', 'long', 'double', 5n, 5],
  ['float to double', 'float', 'double', 0.5, 0.5],
  ['a long beside a double', 'long', ['double', 'long'], 2n ** 60n, { long: 2n ** 60n }],
  ['string to bytes', 'string', 'bytes', 'ü', Uint8Array.from(Buffer.from('ü'))],
  ['bytes to string', 'bytes', 'string', Uint8Array.from(Buffer.from('ü')), 'ü'],
  ['a union to a union', ['null', 'int'], ['string', 'long', 'null'], 5, 5n],
  [
    'nested',
    { type: 'map', values: { type: 'array', items: 'int' } },
    { type: 'map', values: { type: 'array', items: 'long' } },
    { a: [1] },
    { a: [1n] },
  ],
  ['an unknown symbol', symbols('A', 'B'), { ...symbols('A', 'X'), default: 'X' }, 'B', 'X'],
])('converts what Avro promotes: %s', async (_name, written, own, value, expected) => {
  const through = await evolve(record(field(written)), record(field(own)));
  expect(await through({ p: value })).toStrictEqual({ p: expected });
});

it('finds fields and types by their former names, and fills in defaults', async () => {
  const own = {
    ...record(
      field('long', { aliases: ['p'] }, 'id'),
      field(
        { type: 'record', name: 'In', fields: [field(['string', 'null'], { default: 'k' }, 'x')] },
        { default: { x: 'z' } },
        'in',
      ),
      field(['null', 'S'], { default: null }, 'next'),
    ),
    name: 'S',
    aliases: ['R'],
  };
  const through = await evolve(record(field('int')), own);
  expect(await through({ p: 5 })).toStrictEqual({ id: 5n, in: { x: 'z' }, next: null });
  const missing = await evolve(record(field('int')), record(field('int'), field('int', {}, 'q')));
  await expect(missing({ p: 5 })).rejects.toThrow('payload.q was not written, and has no default');
});

it('follows types that contain themselves', async () => {
  const list = (type: string) => record(field(type), field(['null', 'R'], { default: null }, 'next'));
  const through = await evolve(list('int'), list('long'));
  expect(await through({ p: 1, next: { p: 2 } })).toStrictEqual({ p: 1n, next: { p: 2n, next: null } });
});

it('does not read bytes as a text that they are not', async () => {
  const through = await evolve(record(field('bytes')), record(field('string')));
  await expect(through({ p: Uint8Array.of(255) })).rejects.toThrow('payload.p has bytes that are not UTF-8');
});

const decimal = (precision: number, scale: number) => ({
  type: 'bytes',
  logicalType: 'decimal',
  precision,
  scale,
});
const logical = (type: string, logicalType: string) => ({ type, logicalType });

it.each<[string, unknown, unknown, [given: unknown, expected: unknown][], unknown[]]>([
  [
    'a decimal of more digits',
    decimal(10, 2),
    ['null', decimal(12, 4)],
    [
      ['12.30', '12.3000'],
      ['-99999999.99', '-99999999.9900'],
    ],
    [],
  ],
  ['a decimal of fewer digits', decimal(10, 4), decimal(4, 2), [['-12.3', '-12.30']], ['12.345', '123']],
  [
    'timestamps of a finer unit',
    logical('long', 'timestamp-millis'),
    logical('long', 'timestamp-micros'),
    [[new Date(-1), -1_000n]],
    [2n ** 62n],
  ],
  [
    'timestamps of a coarser unit',
    logical('long', 'timestamp-micros'),
    logical('long', 'timestamp-millis'),
    [[-1_000n, new Date(-1)]],
    [1_700_000_000_000_001n],
  ],
  ['a date and a time', logical('int', 'date'), logical('long', 'timestamp-millis'), [], [new Date(0)]],
  ['times of day', logical('int', 'time-millis'), logical('long', 'time-micros'), [], [1]],
  [
    'local times',
    logical('long', 'timestamp-millis'),
    logical('long', 'local-timestamp-millis'),
    [],
    [new Date(0)],
  ],
  ['a decimal as a text', decimal(10, 2), 'string', [], ['0.65']],
  ['a text as a decimal', 'string', decimal(10, 2), [], ['A']],
  ['a plain number as a time', 'int', logical('long', 'timestamp-millis'), [[5, new Date(5)]], []],
  ['a time as a plain number', logical('int', 'date'), 'long', [[new Date(86_400_000), 1n]], []],
  ['the bytes of a decimal', decimal(10, 2), 'bytes', [['0.65', Uint8Array.of(65)]], []],
])('never changes what a value means: %s', async (_name, written, own, pairs, refused) => {
  const through = await evolve(record(field(written)), record(field(own)));
  for (const [p, expected] of pairs) expect(await through({ p })).toStrictEqual({ p: expected });
  for (const p of refused)
    await expect(through({ p })).rejects.toThrow(/payload\.p .*(and|that) cannot be read as/);
});

it('keeps all digits of a default', async () => {
  const defaults = `
    { "name": "until", "type": "long", "default": 9223372036854775807 },
    { "name": "since", "type": ["long", "null"], "default": -9223372036854775808 },
    { "name": "at", "type": { "type": "long", "logicalType": "timestamp-micros" }, "default": 9007199254740993 },
    { "name": "all", "type": { "type": "array", "items": "long" }, "default": [1, 9007199254740993] },
    { "name": "in", "type": { "type": "record", "name": "In", "fields": [{ "name": "x", "type": "long" }] }, "default": { "x": 9007199254740993 } },
    { "name": "ratio", "type": "double", "default": 9007199254740993 },
    { "name": "rate", "type": ["double", "null"], "default": 9007199254740993 }`;
  const own = `{ "type": "record", "name": "R", "fields": [{ "name": "p", "type": "int" }, ${defaults}] }`;
  const expected = {
    p: 1,
    until: 2n ** 63n - 1n,
    since: -(2n ** 63n),
    at: 2n ** 53n + 1n,
    all: [1n, 2n ** 53n + 1n],
    in: { x: 2n ** 53n + 1n },
    ratio: 2 ** 53,
    rate: 2 ** 53,
  };
  for (const written of [record(field('int')), own]) {
    const through = await evolve(written, own);
    expect(await through({ p: 1 })).toStrictEqual(expected);
  }
});
