import { Command } from 'ioredis';

/** A command that is encoded already. The arguments that the driver sees are those by which a cluster finds its node. */
export class EncodedCommand extends Command {
  /** Whether it may have reached the server. */
  wasWritten = false;
  readonly #encoded: Buffer;

  constructor(name: string, routing: readonly string[], encoded: Buffer) {
    super(name, [...routing]);
    this.#encoded = encoded;
  }

  override toWritable(): Buffer {
    this.wasWritten = true;
    return this.#encoded;
  }
}
