import { promisify } from 'node:util';
// As one object: a name that this Node lacks must not fail the import.
import zlib from 'node:zlib';
import { SerializationError, UnsupportedError } from '../errors.ts';
import { describe } from '../topic/topic.ts';

/** Names of the algorithms in options. */
export type CompressAlgorithm = 'gzip' | 'brotli' | 'zstd';

/** What travels as the message's content encoding: the tokens of HTTP. */
export type ContentEncoding = 'gzip' | 'br' | 'zstd';

/** How to compress, in full. */
export interface CompressSettings {
  /** Default `gzip`, which every language reads. `zstd` needs Node 22.15 or 23.8. */
  readonly algorithm?: CompressAlgorithm | undefined;
  /** Bodies of fewer bytes stay as they are. Default 1024: below that little is gained. */
  readonly threshold?: number | undefined;
  /** gzip 0 to 9 (default 6), brotli 0 to 11 (default 4), zstd 1 to 22 (default 3). Higher is smaller and slower. */
  readonly level?: number | undefined;
}

/** `true`: gzip with the defaults. A name: that algorithm with the defaults. `false`: not at all. */
export type CompressOption = boolean | CompressAlgorithm | CompressSettings;

/** What `chooseCompression` decided. */
export interface Compression {
  readonly encoding: ContentEncoding;
  readonly level: number | undefined;
}

const THRESHOLD = 1024;
const ENCODINGS = { gzip: 'gzip', brotli: 'br', zstd: 'zstd' } as const;
const LEVELS = { gzip: [0, 9], brotli: [0, 11], zstd: [1, 22] } as const;

/** Node's own default for brotli is 11, made for files that are compressed once: a hundred times slower than 4. */
const BROTLI_LEVEL = 4;

const isAlgorithm = (value: unknown): value is CompressAlgorithm =>
  typeof value === 'string' && Object.hasOwn(ENCODINGS, value);

/** What is allowed where `value` is not a `CompressOption`; undefined where it is one. */
export function compressProblem(value: unknown): string | undefined {
  if (typeof value === 'boolean' || isAlgorithm(value)) return undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return 'true, false, "gzip", "brotli", "zstd" or { algorithm, threshold, level }';
  }
  const { algorithm, threshold, level, ...rest } = value as Record<string, unknown>;
  const unknown = Object.keys(rest)[0];
  if (unknown !== undefined)
    return `of algorithm, threshold and level only (there is no ${describe(unknown)})`;
  if (algorithm !== undefined && !isAlgorithm(algorithm)) {
    return `with the algorithm "gzip", "brotli" or "zstd" (it is ${describe(algorithm)})`;
  }
  if (threshold !== undefined && (!Number.isSafeInteger(threshold) || (threshold as number) < 0)) {
    return `with a threshold in whole bytes of at least 0 (it is ${describe(threshold)})`;
  }
  const [least, most] = LEVELS[algorithm ?? 'gzip'];
  if (level === undefined) return undefined;
  return Number.isInteger(level) && (level as number) >= least && (level as number) <= most
    ? undefined
    : `with a level from ${least} to ${most} for ${algorithm ?? 'gzip'} (it is ${describe(level)})`;
}

/** How to compress a body of `size` bytes; undefined where it is to stay as it is. The option is checked already. */
export function chooseCompression(option: CompressOption | undefined, size: number): Compression | undefined {
  if (option === undefined || option === false) return undefined;
  const settings: CompressSettings =
    option === true ? {} : typeof option === 'string' ? { algorithm: option } : option;
  if (size < (settings.threshold ?? THRESHOLD)) return undefined;
  return { encoding: ENCODINGS[settings.algorithm ?? 'gzip'], level: settings.level };
}

/** The encoding that a token from the wire stands for. HTTP has them case-insensitive, and an old name for gzip. */
function known(token: string): ContentEncoding {
  const lower = token.trim().toLowerCase();
  if (lower === 'gzip' || lower === 'x-gzip') return 'gzip';
  if (lower === 'br' || lower === 'zstd') return lower;
  throw new SerializationError(`unknown content encoding ${describe(token)}; gzip, br and zstd are known`);
}

function requireZstd(): void {
  if (zlib.zstdCompress !== undefined) return;
  throw new UnsupportedError(
    `zstd needs Node 22.15 or 23.8 or later, and this is ${process.versions.node}; gzip and brotli work in every version`,
  );
}

/**
 * Compresses a body off the main thread.
 *
 * @param level - default: see `CompressSettings`
 * @throws {UnsupportedError} for zstd on a Node without it
 * @throws {SerializationError} when the encoding is unknown
 */
export async function compress(encoding: string, body: Uint8Array, level?: number): Promise<Uint8Array> {
  switch (known(encoding)) {
    case 'gzip':
      return promisify(zlib.gzip)(body, level === undefined ? {} : { level });
    case 'br':
      return promisify<Uint8Array, zlib.BrotliOptions, Buffer>(zlib.brotliCompress)(body, {
        params: {
          [zlib.constants.BROTLI_PARAM_QUALITY]: level ?? BROTLI_LEVEL,
          [zlib.constants.BROTLI_PARAM_SIZE_HINT]: body.length,
        },
      });
    case 'zstd':
      requireZstd();
      return promisify<Uint8Array, zlib.ZstdOptions, Buffer>(zlib.zstdCompress)(
        body,
        level === undefined ? {} : { params: { [zlib.constants.ZSTD_c_compressionLevel]: level } },
      );
  }
}

/**
 * Undoes `compress` off the main thread.
 *
 * @param maxBytes - most bytes that may come out; a small body can hold gigabytes of zeros
 * @throws {UnsupportedError} for zstd on a Node without it
 * @throws {SerializationError} when the encoding is unknown, the body is damaged or cut off, or more would come out
 */
export async function decompress(encoding: string, body: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  const token = known(encoding);
  if (token === 'zstd') requireZstd();
  const inflate = { gzip: zlib.gunzip, br: zlib.brotliDecompress, zstd: zlib.zstdDecompress }[token];
  try {
    return await promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflate)(body, {
      maxOutputLength: maxBytes,
    });
  } catch (cause) {
    const wrong =
      (cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
        ? `has more than the allowed ${maxBytes} bytes once decompressed`
        : `cannot be decompressed: ${(cause as Error).message}`;
    throw new SerializationError(`the ${token} body of ${body.length} bytes ${wrong}`, { cause });
  }
}
