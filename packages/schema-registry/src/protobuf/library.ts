import { ConfigError } from '@ambus/core';

export type Protobufjs = typeof import('protobufjs');

export async function loadProtobufjs(): Promise<Protobufjs> {
  try {
    const library = await import('protobufjs');
    return library.default ?? library;
  } catch (cause) {
    throw new ConfigError(
      `the Protobuf serializer needs the package protobufjs (npm install protobufjs): ${(cause as Error).message.split('\n')[0]}`,
      { cause },
    );
  }
}
