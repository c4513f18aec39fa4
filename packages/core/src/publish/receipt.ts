/** Proof that the broker accepted a message. Plain data: it can be stored and used later, by another process. */
export interface Receipt {
  readonly id: string;
  readonly topic: string;
  /** On a delayed message, what the broker needs beside the id to take it back; not every broker needs anything. */
  readonly token?: string;
}
