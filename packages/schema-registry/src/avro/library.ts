import { ConfigError } from '@ambus/core';

export type Avsc = typeof import('avsc');
type Library = Avsc & { readonly default?: Avsc };

/** What this package uses of avsc's types, told apart by `typeName`. */
export interface AvroType {
  readonly typeName: string;
  readonly name?: string;
  readonly branchName: string;
  readonly aliases: readonly string[];
  readonly fields: readonly AvroField[];
  field(name: string): AvroField | undefined;
  readonly symbols: readonly string[];
  /** Of an enum. */
  readonly default?: string;
  readonly size: number;
  readonly itemsType: AvroType;
  readonly valuesType: AvroType;
  readonly types: readonly AvroType[];
  toBuffer(value: unknown): Buffer;
  fromBuffer(body: Buffer): unknown;
}

export interface AvroField {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly type: AvroType;
  defaultValue(): unknown;
}

export async function loadAvsc(): Promise<Avsc> {
  try {
    const library: Library = await import('avsc');
    return library.default ?? library;
  } catch (cause) {
    throw new ConfigError(
      `the Avro serializer needs the package avsc (npm install avsc): ${(cause as Error).message.split('\n')[0]}`,
      { cause },
    );
  }
}
