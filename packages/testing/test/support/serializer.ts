import type { Serializer } from '@ambus/core';

/** JSON of a type of its own, whose reader `read` can fail, or take its time. */
export function reading(read: (data: unknown) => unknown): Serializer {
  return {
    contentType: 'application/x-test',
    serialize: (data) => Buffer.from(JSON.stringify(data)),
    deserialize: (body) => read(JSON.parse(Buffer.from(body).toString())),
  };
}
