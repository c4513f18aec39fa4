import { setTimeout } from 'node:timers/promises';
import type { Bus } from '@ambus/core';

/**
 * Removes what a run has left on the server, once its agents are gone. A real system would not: its groups and topics are
 * there to stay. Only what has this bus's prefix is touched, which is this run's own.
 */
export function leaveNoTraces(bus: Bus): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      while (bus.stats().running > 0) await setTimeout(10);
      if (bus.capabilities.admin === 'none') return;
      const { admin } = bus;
      for (const { pattern, group } of await admin.listGroups()) await admin.deleteGroup(pattern, group);
      for (const { topic } of await admin.listTopics()) await admin.deleteTopic(topic);
    },
  };
}
