import type { BusRecord, Clock, InboxSink } from '@ambus/core';
import { DelayLine } from './delay-line.ts';
import type { Faults } from './faults.ts';

/** Takes replies in with faults. A reply has no lease: one that fails is gone. */
export function faultyInbox(sink: InboxSink, faults: Faults, clock: () => Clock): InboxSink {
  const line = new DelayLine<readonly BusRecord[]>(clock, sink);
  return (records) => {
    for (const record of records) {
      const verdict = faults.decide('delivery', record, clock());
      if (verdict?.fault === 'drop' || verdict?.fault === 'fail') continue;
      line.add(verdict?.fault === 'duplicate' ? [record, record] : [record], verdict?.delay ?? 0);
    }
  };
}
