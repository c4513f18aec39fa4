import { ConfigError } from '@ambus/core';
import type { Ajv, Options } from 'ajv';

/** ajv's classes, each of which knows some drafts of JSON Schema. */
export interface Ajvs {
  readonly draft7: new (options: Options) => Ajv;
  readonly draft2019: new (options: Options) => Ajv;
  readonly draft2020: new (options: Options) => Ajv;
}

export async function loadAjv(): Promise<Ajvs> {
  try {
    const [draft7, draft2019, draft2020] = await Promise.all([
      import('ajv'),
      import('ajv/dist/2019.js'),
      import('ajv/dist/2020.js'),
    ]);
    return {
      draft7: draft7.Ajv,
      draft2019: draft2019.Ajv2019 as unknown as Ajvs['draft7'],
      draft2020: draft2020.Ajv2020 as unknown as Ajvs['draft7'],
    };
  } catch (cause) {
    throw new ConfigError(
      `the JSON Schema serializer needs the package ajv (npm install ajv): ${(cause as Error).message.split('\n')[0]}`,
      { cause },
    );
  }
}
