type Range = readonly [start: number, end: number];

/** Says that what follows are bits, six offsets a character, the first lowest. The last one that is set ends them. */
const BITS = '*';
const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/**
 * Ranges as text: each by its distance from the one before, and its length where that is not 1; those that lie so close
 * that it is shorter, as bits.
 */
export function writeRanges(floor: number, ranges: Iterable<Range>): string {
  const texts: string[] = [];
  let before = floor;
  let near: Range[] = [];
  let nearTexts: string[] = [];
  let nearFrom = floor;
  const endNear = (): void => {
    if (near.length === 0) return;
    const plain = nearTexts.join(',');
    const bits = BITS + writeBits(nearFrom, near);
    texts.push(bits.length < plain.length ? bits : plain);
    near = [];
    nearTexts = [];
  };
  for (const range of ranges) {
    const [start, end] = range;
    const text = end - start === 1 ? num(start - before) : `${num(start - before)}.${num(end - start)}`;
    if (end - before > 6 * (text.length + 1)) {
      endNear();
      texts.push(text);
    } else {
      if (near.length === 0) nearFrom = before;
      near.push(range);
      nearTexts.push(text);
    }
    before = end;
  }
  endNear();
  return texts.join(',');
}

export function* readRanges(floor: number, text: string): Generator<Range> {
  if (text === '') return;
  let before = floor;
  for (const part of text.split(',')) {
    if (part.startsWith(BITS)) {
      const from = before;
      for (const offset of readBits(from, part)) {
        yield [offset, offset + 1];
        before = offset + 1;
      }
      continue;
    }
    const [distance = '', length = '1'] = part.split('.');
    const start = before + parse(distance);
    before = start + parse(length);
    yield [start, before];
  }
}

function writeBits(from: number, ranges: readonly Range[]): string {
  const digits = new Uint8Array(Math.ceil((ranges.at(-1)![1] - from) / 6));
  for (const [start, end] of ranges) {
    for (let bit = start - from; bit < end - from; bit++) digits[Math.floor(bit / 6)]! |= 1 << (bit % 6);
  }
  return Array.from(digits, (digit) => DIGITS[digit]).join('');
}

function* readBits(from: number, text: string): Generator<number> {
  for (let at = BITS.length; at < text.length; at++) {
    const digit = DIGITS.indexOf(text[at]!);
    for (let bit = 0; bit < 6; bit++) {
      if ((digit >> bit) & 1) yield from + (at - BITS.length) * 6 + bit;
    }
  }
}

export function num(value: number): string {
  return value.toString(36);
}

export function parse(text: string): number {
  return Number.parseInt(text, 36) || 0;
}
