import type { Committed, Membership } from './group-requests.ts';
import type { PartitionAnswer } from './log-requests.ts';
import type { Producer } from './records.ts';
import { byTopic, type Request, STORING } from './request.ts';

/** Who makes a transaction. */
export interface Transactor {
  readonly transactionalId: string;
  readonly producer: Producer;
}

/** Tells the coordinator which partitions a transaction is about to write. */
export function addPartitionsToTxn(
  { transactionalId, producer }: Transactor,
  places: readonly { readonly topic: string; readonly partition: number }[],
): Request<PartitionAnswer[]> {
  return {
    key: 24,
    version: 2,
    name: 'AddPartitionsToTxn',
    hold: STORING,
    write(to) {
      to.text(transactionalId).i64(producer.id).i16(producer.epoch);
      to.list(byTopic(places), ({ topic, partitions }) =>
        to.text(topic).list(partitions, ({ partition }) => to.i32(partition)),
      );
    },
    read: (from) =>
      from
        .skip(4)
        .list(() => {
          const topic = from.text()!;
          return from.list(() => ({ topic, partition: from.i32(), error: from.i16() }));
        })
        .flat(),
  };
}

/** Tells the coordinator that a transaction is about to commit positions of a group. */
export function addOffsetsToTxn({ transactionalId, producer }: Transactor, group: string): Request<number> {
  return {
    key: 25,
    version: 2,
    name: 'AddOffsetsToTxn',
    hold: STORING,
    write: (to) => to.text(transactionalId).i64(producer.id).i16(producer.epoch).text(group),
    read: (from) => from.skip(4).i16(),
  };
}

/** Commits positions with a transaction; in a newer form, since from version 3 on the server checks the membership. */
export function txnOffsetCommit(
  { transactionalId, producer }: Transactor,
  { group, generation, member, instance }: Membership,
  entries: readonly Committed[],
): Request<PartitionAnswer[]> {
  return {
    key: 28,
    version: 3,
    name: 'TxnOffsetCommit',
    hold: STORING,
    write(to) {
      to.noTags().compactText(transactionalId).compactText(group).i64(producer.id).i16(producer.epoch);
      to.i32(generation).compactText(member).compactText(instance);
      to.compactList(byTopic(entries), ({ topic, partitions }) =>
        to
          .compactText(topic)
          .compactList(partitions, ({ partition, offset, metadata }) =>
            to.i32(partition).i64(offset).i32(-1).compactText(metadata).noTags(),
          )
          .noTags(),
      ).noTags();
    },
    read(from) {
      from.tags();
      return from
        .skip(4)
        .compactList(() => {
          const topic = from.compactText()!;
          const places = from.compactList(() => {
            const answer = { topic, partition: from.i32(), error: from.i16() };
            from.tags();
            return answer;
          });
          from.tags();
          return places;
        })
        .flat();
    },
  };
}

export interface OpenTransactions {
  readonly error: number;
  readonly ids: readonly string[];
}

/** Transactions that this node coordinates and that nobody has ended yet. Only servers since 3.0 know it. */
export function listOpenTransactions(): Request<OpenTransactions> {
  return {
    key: 66,
    version: 0,
    name: 'ListTransactions',
    write: (to) =>
      to
        .noTags()
        .compactList(['Ongoing'], (state) => to.compactText(state))
        .uvarint(1)
        .noTags(),
    read(from) {
      from.tags();
      const error = from.skip(4).i16();
      from.compactList(() => from.compactText());
      const ids = from.compactList(() => {
        const id = from.compactText()!;
        from.skip(8).compactText();
        from.tags();
        return id;
      });
      return { error, ids };
    },
  };
}

export function endTxn({ transactionalId, producer }: Transactor, commit: boolean): Request<number> {
  return {
    key: 26,
    version: 2,
    name: 'EndTxn',
    hold: STORING,
    write: (to) => to.text(transactionalId).i64(producer.id).i16(producer.epoch).bool(commit),
    read: (from) => from.skip(4).i16(),
  };
}
