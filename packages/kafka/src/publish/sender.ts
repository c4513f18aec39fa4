import { BusError, ConfigError, MessageTooLargeError, ValidationError } from '@ambus/core';
import type { Cluster } from '../driver/cluster.ts';
import { Code, isPassing, isRefusal, serverError } from '../driver/errors.ts';
import { type Produced, produce } from '../driver/log-requests.ts';
import { encodeBatch } from '../driver/records.ts';
import type { Settings } from '../options.ts';
import type { Identities } from './identities.ts';
import type { Item, PartitionQueue } from './queue.ts';

/** Milliseconds before another attempt. */
export const AGAIN = 40;

/** Sends the batches of several partitions of one server, and does what its answers say. */
export class Sender {
  readonly #cluster: Cluster;
  readonly #settings: Settings;
  readonly #identities: Identities;
  /** Asks where the partitions of these are now. */
  readonly #refresh: (queues: readonly PartitionQueue[]) => void;

  constructor(
    cluster: Cluster,
    settings: Settings,
    identities: Identities,
    refresh: (queues: readonly PartitionQueue[]) => void,
  ) {
    this.#cluster = cluster;
    this.#settings = settings;
    this.#identities = identities;
    this.#refresh = refresh;
  }

  /** Never rejects. Each of the queues has a batch and an identity. */
  async send(node: number, all: readonly PartitionQueue[]): Promise<void> {
    const { acks, compression, requestTimeout } = this.#settings;
    let sent = false;
    try {
      await this.#cluster.reach(node);
      // Connecting takes its time, too: nothing is sent after its deadline.
      for (const queue of all) this.#dropExpired(queue);
      const queues = all.filter(({ batch, producer }) => batch !== undefined && producer !== undefined);
      if (queues.length === 0) return;
      const entries = await Promise.all(
        queues.map(async (queue) => ({
          topic: queue.topic,
          partition: queue.partition,
          batch: await encodeBatch(
            queue.batch!.map(({ record }) => record),
            queue.producer!,
            queue.sequence,
            compression,
          ),
        })),
      );
      sent = true;
      const answers = await this.#cluster.send(node, produce(entries, acks, requestTimeout));
      const places = new Map(queues.map((queue) => [`${queue.topic}/${queue.partition}`, queue]));
      for (const answer of answers) {
        const queue = places.get(`${answer.topic}/${answer.partition}`);
        // Failed meanwhile: nobody waits for the answer.
        if (queue?.batch !== undefined) this.#answered(queue, queue.batch, answer);
      }
    } catch (error) {
      for (const queue of all) this.#lost(queue, error, sent);
      this.#refresh(all);
    }
  }

  #answered(queue: PartitionQueue, batch: readonly Item[], { error }: Produced): void {
    if (error === 0 || error === Code.duplicateSequence) {
      queue.most = Number.POSITIVE_INFINITY;
      queue.stored();
      for (const { call, index } of batch) call.accepted(index);
    } else if (ONE_BY_ONE.has(error)) {
      refusedOne(queue, batch, error);
    } else if (
      error === Code.outOfOrderSequence ||
      error === Code.unknownProducer ||
      error === Code.invalidProducerEpoch
    ) {
      this.#identities.retire(queue.forgetProducer());
      this.#dropExpired(queue);
    } else if (isPassing(error)) {
      queue.cause = serverError(error, 'producing', queue.name);
      if (error === Code.requestTimedOut || error === Code.notEnoughReplicasAfterAppend)
        queue.doubtful = true;
      queue.notBefore = Date.now() + AGAIN;
      this.#refresh([queue]);
      this.#dropExpired(queue);
    } else {
      queue.refuse(
        isRefusal(error)
          ? new ConfigError(`this account may not publish to "${queue.name}"`, {
              broker: 'kafka',
              topic: queue.name,
            })
          : serverError(error, `publishing to "${queue.name}"`, queue.name),
      );
    }
  }

  /** Nobody knows what became of the batch, if it was sent: it is sent again under its number. */
  #lost(queue: PartitionQueue, error: unknown, sent: boolean): void {
    if (queue.batch === undefined) return;
    queue.cause = error;
    if (sent) queue.doubtful = true;
    if (BusError.is(error) && !error.retryable) {
      this.#identities.retire(queue.fail(error));
      return;
    }
    queue.notBefore = Date.now() + AGAIN;
    this.#dropExpired(queue);
  }

  #dropExpired(queue: PartitionQueue): void {
    const gaveUp = queue.dropExpired(Date.now());
    if (gaveUp !== undefined) this.#identities.retire(gaveUp);
  }
}

/** What the server says of a whole batch, though one message of it may be the only reason. */
const ONE_BY_ONE: ReadonlySet<number> = new Set([
  Code.messageTooLarge,
  Code.recordListTooLarge,
  Code.invalidRecord,
  Code.invalidTimestamp,
]);

/** Halves the batch until the message that is refused stands alone: the others must not fail for it. */
function refusedOne(queue: PartitionQueue, batch: readonly Item[], error: number): void {
  if (batch.length > 1) {
    queue.most = batch.length >> 1;
    queue.putBack();
    return;
  }
  queue.refuse(refusal(queue, batch[0]!, error));
}

function refusal({ topic: place, name: topic }: PartitionQueue, { record }: Item, error: number): BusError {
  const context = { topic, broker: 'kafka' };
  if (error === Code.invalidTimestamp) {
    return new ConfigError(
      `the server does not take a message for "${topic}" of ${new Date(record.timestamp).toISOString()}: see message.timestamp.before.max.ms and message.timestamp.after.max.ms of the Kafka topic "${place}"`,
      context,
    );
  }
  if (error === Code.invalidRecord) {
    return record.key === null
      ? new ValidationError(
          `the server refuses a message without a key for "${topic}": a compacted topic takes none`,
          context,
        )
      : new ValidationError(`the server refuses a message for "${topic}" as invalid`, context);
  }
  const size = record.value?.length ?? 0;
  return new MessageTooLargeError(
    `the server does not take a message of ${size} bytes for "${topic}": see its max.message.bytes`,
    size,
    size - 1,
    context,
  );
}
