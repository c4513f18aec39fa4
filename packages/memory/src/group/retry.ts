import type { Timed } from '../hub/agenda.ts';
import { DELAYED, type Entry } from '../queue/entry.ts';
import type { Group } from './group.ts';

/** A nacked entry that waits for its time. */
export class Retry implements Timed {
  readonly due: number;
  order = 0;
  readonly group: Group;
  readonly entry: Entry;

  constructor(due: number, group: Group, entry: Entry) {
    this.due = due;
    this.group = group;
    this.entry = entry;
  }

  run(): void {
    if (this.entry.state === DELAYED) this.group.putBack(this.entry);
  }
}
