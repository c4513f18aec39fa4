import { SerializationError } from '../errors.ts';
import type { Serializer } from './serializer.ts';

/** Bodies of this type are bytes to the application, too. */
export const BYTES = 'application/octet-stream';

/** `application/json; charset=utf-8` → `application/json`. */
function essence(contentType: string): string {
  const end = contentType.indexOf(';');
  return (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}

/** Finds the serializer for what arrives, by its content type. */
export class SerializerRegistry {
  readonly #byType = new Map<string, Serializer | undefined>();

  /** @param serializers - a later one takes the place of an earlier one of the same content type */
  constructor(serializers: readonly Serializer[]) {
    for (const serializer of serializers) this.#byType.set(serializer.contentType, serializer);
    this.#byType.set(BYTES, undefined);
  }

  /**
   * The serializer for a content type; undefined where the body is to be handed over as it is, because it is binary or
   * its producer did not say what it is.
   *
   * @throws {SerializationError} when the content type is known to nobody here
   */
  find(contentType: string | undefined): Serializer | undefined {
    if (contentType === undefined) return undefined;
    const exact = this.#byType.get(contentType);
    if (exact !== undefined || this.#byType.has(contentType)) return exact;
    return this.#findOther(contentType);
  }

  #findOther(contentType: string): Serializer | undefined {
    const type = essence(contentType);
    const json = type.endsWith('+json') ? this.#byType.get('application/json') : undefined;
    const found = this.#byType.get(type) ?? json;
    if (found === undefined && !this.#byType.has(type)) {
      throw new SerializationError(
        `no serializer for content type "${contentType}"; this bus has ${[...this.#byType.keys()].join(', ')} (option "serializers")`,
      );
    }
    return found;
  }
}
