import { isUtf8 } from 'node:buffer';
import { SerializationError } from '@ambus/core';
import type { AvroType } from './library.ts';

/** Most items without a byte of their own, such as nulls, in one array: their number says nothing about the body's size. */
const MOST_EMPTY = 1_000_000;

/**
 * Walks through a body before avsc reads it. avsc believes every count in it: a damaged one would keep it busy, and take
 * memory, until the process dies. It would also replace what is not UTF-8.
 *
 * @throws {SerializationError} when the body is not what its schema says
 */
export function assertBody(type: AvroType, body: Buffer): void {
  const cursor = new Cursor(body);
  cursor.skip(type);
  if (cursor.left > 0)
    throw new SerializationError(`the body has ${cursor.left} bytes too many for its schema`);
}

class Cursor {
  readonly #body: Buffer;
  #at = 0;
  #empty = 0;

  constructor(body: Buffer) {
    this.#body = body;
  }

  get left(): number {
    return this.#body.length - this.#at;
  }

  skip(type: AvroType): void {
    switch (type.typeName) {
      case 'null':
        return;
      case 'boolean':
        this.#take(1);
        return;
      case 'int':
      case 'abstract:long':
        this.#long();
        return;
      case 'float':
        this.#take(4);
        return;
      case 'double':
        this.#take(8);
        return;
      case 'fixed':
        this.#take(type.size);
        return;
      case 'bytes':
        this.#take(this.#count());
        return;
      case 'string':
        this.#string();
        return;
      case 'enum':
        if (this.#count() >= type.symbols.length) throw damaged('an unknown symbol of an enum');
        return;
      case 'array':
        this.#blocks(() => this.skip(type.itemsType));
        return;
      case 'map':
        this.#blocks(() => {
          if (this.#string() === '__proto__')
            throw damaged('the key "__proto__" in a map, which is not read');
          this.skip(type.valuesType);
        });
        return;
      case 'record':
      case 'error':
        for (const field of type.fields) this.skip(field.type);
        return;
      default: {
        const branch = type.types[this.#count()];
        if (branch === undefined) throw damaged('an unknown branch of a union');
        this.skip(branch);
      }
    }
  }

  #blocks(skipItem: () => void): void {
    for (let count = this.#long(); count !== 0; count = this.#long()) {
      // With a negative count comes the block's size, for those who skip it.
      if (count < 0) this.#long();
      for (let left = Math.abs(count); left > 0; left--) {
        const before = this.#at;
        skipItem();
        if (this.#at === before && ++this.#empty > MOST_EMPTY) throw damaged('too many empty items');
      }
    }
  }

  #string(): string {
    const length = this.#count();
    const start = this.#at;
    this.#take(length);
    const bytes = this.#body.subarray(start, this.#at);
    if (!isUtf8(bytes)) throw damaged('a text that is not UTF-8');
    return length === 9 ? bytes.toString() : '';
  }

  #count(): number {
    const count = this.#long();
    if (count < 0) throw damaged(`a length of ${count}`);
    return count;
  }

  #take(length: number): void {
    if (length > this.left) throw new SerializationError('the body ends before what its schema says');
    this.#at += length;
  }

  /** Zigzag, seven bits a byte, the lowest first. Not exact beyond 2^53, where only values are, which nobody looks at. */
  #long(): number {
    let value = 0;
    for (let digit = 0, unit = 1; digit < 10; digit++, unit *= 128) {
      const at = this.#at;
      this.#take(1);
      const byte = this.#body[at]!;
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
    throw damaged('an integer of more than 64 bits');
  }
}

const damaged = (what: string): SerializationError => new SerializationError(`the body has ${what}`);
