import type { Request } from './request.ts';

export interface NodeInfo {
  readonly id: number;
  readonly host: string;
  readonly port: number;
}

export interface TopicMetadata {
  readonly name: string;
  /** Of this topic, and not of a later one of its name. */
  readonly id: string;
  readonly error: number;
  /** The leader of each partition, -1 where there is none now. */
  readonly leaders: readonly number[];
}

export interface Metadata {
  readonly nodes: readonly NodeInfo[];
  readonly controller: number;
  readonly topics: readonly TopicMetadata[];
}

const NO_ID = Buffer.alloc(16);

/**
 * In a newer form, since from version 10 on it tells each topic's id, by which one that was deleted and made
 * again is known.
 *
 * @param topics - their names; all topics when undefined, none when empty
 */
export function metadata(topics: readonly string[] | undefined): Request<Metadata> {
  return {
    key: 3,
    version: 10,
    name: 'Metadata',
    write(to) {
      to.noTags();
      if (topics === undefined) to.uvarint(0);
      else to.compactList(topics, (name) => to.raw(NO_ID).compactText(name).noTags());
      to.bool(false).bool(false).bool(false).noTags();
    },
    read(from) {
      from.tags();
      from.skip(4);
      const nodes = from.compactList(() => {
        const node = { id: from.i32(), host: from.compactText()!, port: from.i32() };
        from.compactText();
        from.tags();
        return node;
      });
      from.compactText();
      const controller = from.i32();
      const list = from.compactList(() => {
        const error = from.i16();
        const name = from.compactText()!;
        const id = from.raw(16).toString('hex');
        from.bool();
        const leaders: number[] = [];
        from.compactList(() => {
          const partition = from.skip(2).i32();
          leaders[partition] = from.i32();
          from.skip(4);
          for (let replicas = 0; replicas < 3; replicas++) from.compactList(() => from.i32());
          from.tags();
        });
        from.skip(4).tags();
        return { error, name, id, leaders };
      });
      return { nodes, controller, topics: list };
    },
  };
}

export interface NewTopic {
  readonly name: string;
  readonly partitions: number;
  readonly replicas: number;
  readonly config: Readonly<Record<string, string>>;
}

export interface TopicAnswer {
  readonly name: string;
  readonly error: number;
  readonly message: string | null;
}

export function createTopics(topics: readonly NewTopic[], timeout: number): Request<TopicAnswer[]> {
  return {
    key: 19,
    version: 3,
    name: 'CreateTopics',
    hold: timeout,
    write(to) {
      to.list(topics, ({ name, partitions, replicas, config }) =>
        to
          .text(name)
          .i32(partitions)
          .i16(replicas)
          .i32(0)
          .list(Object.entries(config), ([key, value]) => to.text(key).text(value)),
      )
        .i32(timeout)
        .bool(false);
    },
    read: (from) =>
      from.skip(4).list(() => ({ name: from.text()!, error: from.i16(), message: from.text() })),
  };
}

/** Adds partitions to a topic, until it has `partitions`. */
export function createPartitions(name: string, partitions: number, timeout: number): Request<TopicAnswer[]> {
  return {
    key: 37,
    version: 1,
    name: 'CreatePartitions',
    hold: timeout,
    // No assignment: the server places them.
    write: (to) =>
      to
        .list([name], () => to.text(name).i32(partitions).i32(-1))
        .i32(timeout)
        .bool(false),
    read: (from) =>
      from.skip(4).list(() => ({ name: from.text()!, error: from.i16(), message: from.text() })),
  };
}

export function deleteTopics(names: readonly string[], timeout: number): Request<TopicAnswer[]> {
  return {
    key: 20,
    version: 1,
    name: 'DeleteTopics',
    hold: timeout,
    write: (to) => to.list(names, (name) => to.text(name)).i32(timeout),
    read: (from) => from.skip(4).list(() => ({ name: from.text()!, error: from.i16(), message: null })),
  };
}

/** The settings of topics, by name; those that cannot be read are left out. */
export function describeTopics(
  topics: readonly string[],
  keys: readonly string[],
): Request<Map<string, Record<string, string>>> {
  return {
    key: 32,
    version: 1,
    name: 'DescribeConfigs',
    write: (to) =>
      to
        .list(topics, (name) =>
          to
            .i8(2)
            .text(name)
            .list(keys, (key) => to.text(key)),
        )
        .bool(false),
    read(from) {
      from.i32();
      const found = new Map<string, Record<string, string>>();
      from.list(() => {
        const error = from.i16();
        from.text();
        from.i8();
        const name = from.text()!;
        const config: Record<string, string> = {};
        from.list(() => {
          const key = from.text()!;
          config[key] = from.text() ?? '';
          from.bool();
          from.i8();
          from.bool();
          from.list(() => {
            from.text();
            from.text();
            from.i8();
          });
        });
        if (error === 0) found.set(name, config);
      });
      return found;
    },
  };
}
