import type { Reader } from './bytes.ts';
import { byTopic, type Request } from './request.ts';

/** Answer for one partition; `error` is Kafka's error code, 0 when it went well. */
export interface PartitionAnswer {
  readonly topic: string;
  readonly partition: number;
  readonly error: number;
}

export interface ProduceEntry {
  readonly topic: string;
  readonly partition: number;
  /** An encoded record batch. */
  readonly batch: Uint8Array;
}

export interface Produced extends PartitionAnswer {
  readonly offset: number;
}

function answers<T extends PartitionAnswer>(
  from: Reader,
  read: (topic: string, partition: number, error: number) => T,
): T[] {
  return from
    .list(() => {
      const topic = from.text()!;
      return from.list(() => read(topic, from.i32(), from.i16()));
    })
    .flat();
}

/** @param timeout - milliseconds that the server may wait for its replicas */
export function produce(
  entries: readonly ProduceEntry[],
  acks: number,
  timeout: number,
  transactionalId: string | null = null,
): Request<Produced[]> {
  return {
    key: 0,
    version: 7,
    name: 'Produce',
    hold: timeout,
    write(to) {
      let size = 256;
      for (const { batch } of entries) size += batch.length + 300;
      to.reserve(size);
      to.text(transactionalId).i16(acks).i32(timeout);
      to.list(byTopic(entries), ({ topic, partitions }) =>
        to.text(topic).list(partitions, ({ partition, batch }) => to.i32(partition).bytes(batch)),
      );
    },
    read(from) {
      return answers(from, (topic, partition, error) => {
        const offset = from.i64();
        from.offset += 16;
        return { topic, partition, error, offset };
      });
    },
  };
}

export interface FetchEntry {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

export interface Fetched extends PartitionAnswer {
  readonly highWatermark: number;
  readonly lastStable: number;
  readonly logStart: number;
  readonly aborted: readonly { readonly producerId: bigint; readonly first: number }[];
  readonly records: Buffer | null;
}

export interface FetchLimits {
  readonly maxWait: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly maxBytesPerPartition: number;
}

export function fetch(entries: readonly FetchEntry[], limits: FetchLimits): Request<Fetched[]> {
  return {
    key: 1,
    version: 11,
    name: 'Fetch',
    hold: limits.maxWait,
    write(to) {
      to.i32(-1).i32(limits.maxWait).i32(limits.minBytes).i32(limits.maxBytes);
      // Read committed; no fetch session.
      to.i8(1).i32(0).i32(-1);
      to.list(byTopic(entries), ({ topic, partitions }) =>
        to
          .text(topic)
          .list(partitions, ({ partition, offset }) =>
            to.i32(partition).i32(-1).i64(offset).i64(-1).i32(limits.maxBytesPerPartition),
          ),
      );
      to.i32(0).text('');
    },
    read(from) {
      from.i32();
      const failed = from.i16();
      from.i32();
      return answers(from, (topic, partition, error) => ({
        topic,
        partition,
        error: failed === 0 ? error : failed,
        highWatermark: from.i64(),
        lastStable: from.i64(),
        logStart: from.i64(),
        aborted: from.list(() => ({ producerId: from.bigint(), first: from.i64() })),
        records: from.skip(4).bytes(),
      }));
    },
  };
}

/** Before all records; what `listOffsets` takes for a time. */
export const EARLIEST = -2;
/** After all records. */
export const LATEST = -1;

export interface OffsetAt extends PartitionAnswer {
  /** -1 where no record is that young. */
  readonly offset: number;
}

export function listOffsets(
  entries: readonly { readonly topic: string; readonly partition: number; readonly time: number }[],
): Request<OffsetAt[]> {
  return {
    key: 2,
    version: 3,
    name: 'ListOffsets',
    write(to) {
      to.i32(-1).i8(1);
      to.list(byTopic(entries), ({ topic, partitions }) =>
        to.text(topic).list(partitions, ({ partition, time }) => to.i32(partition).i64(time)),
      );
    },
    read(from) {
      from.i32();
      return answers(from, (topic, partition, error) => {
        from.i64();
        return { topic, partition, error, offset: from.i64() };
      });
    },
  };
}

export function deleteRecords(
  entries: readonly { readonly topic: string; readonly partition: number; readonly before: number }[],
  timeout: number,
): Request<PartitionAnswer[]> {
  return {
    key: 21,
    version: 1,
    name: 'DeleteRecords',
    hold: timeout,
    write(to) {
      to.list(byTopic(entries), ({ topic, partitions }) =>
        to.text(topic).list(partitions, ({ partition, before }) => to.i32(partition).i64(before)),
      ).i32(timeout);
    },
    read(from) {
      from.i32();
      return from
        .list(() => {
          const topic = from.text()!;
          return from.list(() => {
            const partition = from.i32();
            from.i64();
            return { topic, partition, error: from.i16() };
          });
        })
        .flat();
    },
  };
}

export interface ProducerIdentity {
  readonly error: number;
  readonly id: bigint;
  readonly epoch: number;
}

/** @param timeout - milliseconds that a transaction may take before the server aborts it */
export function initProducerId(
  transactionalId: string | null = null,
  timeout = 60_000,
): Request<ProducerIdentity> {
  return {
    key: 22,
    version: 1,
    name: 'InitProducerId',
    write: (to) => to.text(transactionalId).i32(timeout),
    read: (from) => ({ error: from.skip(4).i16(), id: from.bigint(), epoch: from.i16() }),
  };
}
