import { ConfigError } from '@ambus/core';
import type { INamespace } from 'protobufjs';

type Protobufjs = typeof import('protobufjs');

export interface Library {
  readonly protobufjs: Protobufjs;
  /** What `google/protobuf/descriptor.proto` has; not among the files that protobufjs knows by itself. */
  readonly descriptor: INamespace;
}

export async function loadProtobufjs(): Promise<Library> {
  try {
    const [library, descriptor] = await Promise.all([
      import('protobufjs'),
      import('protobufjs/google/protobuf/descriptor.json', { with: { type: 'json' } }),
    ]);
    return { protobufjs: library.default ?? library, descriptor: descriptor.default };
  } catch (cause) {
    throw new ConfigError(
      `the Protobuf serializer needs the package protobufjs (npm install protobufjs): ${(cause as Error).message.split('\n')[0]}`,
      { cause },
    );
  }
}
