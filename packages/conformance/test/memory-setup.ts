import type { Broker, BusRecord } from '@ambus/core';
import { type MemoryBroker, MemoryHub, memory } from '@ambus/memory';
import type { ConformanceSetup, RawMessage, ServerControl } from '../src/index.ts';

/** The metadata that a raw client can see and set, by its name on the wire. */
const ATTRIBUTES = {
  ce_id: 'id',
  ce_source: 'source',
  ce_type: 'type',
  ce_dataschema: 'dataSchema',
  ce_correlationid: 'correlationId',
  ce_partitionkey: 'key',
  'content-type': 'contentType',
  'content-encoding': 'contentEncoding',
} as const;

function toRaw(record: BusRecord): RawMessage {
  const attributes = Object.entries(ATTRIBUTES).flatMap(([name, field]) => {
    const value = record[field];
    return value === undefined ? [] : [[name, value] as const];
  });
  const time = ['ce_time', new Date(record.time).toISOString()] as const;
  return { body: record.body, headers: { ...record.headers, ...Object.fromEntries([...attributes, time]) } };
}

function fromRaw({ body, headers: all }: RawMessage): Partial<BusRecord> & { readonly body: Uint8Array } {
  const fields: Record<string, unknown> = {};
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(all)) {
    if (name === 'ce_time') fields.time = Date.parse(value);
    else if (Object.hasOwn(ATTRIBUTES, name)) fields[ATTRIBUTES[name as keyof typeof ATTRIBUTES]] = value;
    else headers[name] = value;
  }
  return { ...fields, body, ...(Object.keys(headers).length === 0 ? undefined : { headers }) };
}

/** What can be done to a hub. `track` must see every broker on it. */
function controlOf(hub: MemoryHub): { track(broker: MemoryBroker): MemoryBroker; server: ServerControl } {
  const ids = new WeakMap<Broker, string>();
  return {
    track(broker) {
      const { connect } = broker;
      broker.connect = (host) => {
        ids.set(broker, host.busId);
        return connect.call(broker, host);
      };
      return broker;
    },
    server: {
      async wipe() {
        hub.wipe();
      },
      async cut(broker) {
        const id = broker && ids.get(broker);
        hub.disconnect(id);
        return async () => hub.reconnect(id);
      },
      async crash(broker) {
        hub.crash(ids.get(broker)!);
      },
      raw: {
        async publish(prefix, topic, message) {
          hub.publish({ ...fromRaw(message), topic }, prefix);
        },
        async read(prefix, topic) {
          return hub.records(topic, prefix).map(toRaw);
        },
      },
    },
  };
}

/** The suite's setup for memory: a hub that nobody else has. */
export function memorySetup(hub: MemoryHub = new MemoryHub()): ConformanceSetup {
  const { track, server } = controlOf(hub);
  return {
    broker: 'memory',
    create: (options) => track(memory({ hub, ...options })),
    isolate: () => memorySetup(),
    shortLease: { lease: 300 },
    server,
    about: { version: 'of this repository', started: 'new MemoryHub()' },
  };
}
