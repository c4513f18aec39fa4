import type { BusRecord } from '@ambus/core';
import type { Agenda, Timed } from './agenda.ts';

/** A published record whose time has not come. */
class Delayed implements Timed {
  readonly due: number;
  order = 0;
  readonly record: BusRecord;
  readonly #schedule: Schedule;

  constructor(record: BusRecord, due: number, schedule: Schedule) {
    this.record = record;
    this.due = due;
    this.#schedule = schedule;
  }

  run(): void {
    this.#schedule.release(this);
  }
}

const name = (topic: string, id: string): string => `${topic} ${id}`;

/** The delayed publishes of one space. */
export class Schedule {
  readonly #agenda: Agenda;
  readonly #store: (record: BusRecord) => void;
  /** Nothing keeps ids unique, so one name may stand for several. */
  readonly #waiting = new Map<string, Delayed[]>();

  /** @param store - what to do with a record that is due */
  constructor(agenda: Agenda, store: (record: BusRecord) => void) {
    this.#agenda = agenda;
    this.#store = store;
  }

  add(record: BusRecord, due: number): void {
    const delayed = new Delayed(record, due, this);
    const key = name(record.topic, record.id);
    const others = this.#waiting.get(key);
    if (others === undefined) this.#waiting.set(key, [delayed]);
    else others.push(delayed);
    this.#agenda.add(delayed);
  }

  release(delayed: Delayed): void {
    const key = name(delayed.record.topic, delayed.record.id);
    const left = this.#waiting.get(key)!.filter((other) => other !== delayed);
    if (left.length === 0) this.#waiting.delete(key);
    else this.#waiting.set(key, left);
    this.#store(delayed.record);
  }

  /** Forgets what has this topic and, if given, this id. Returns what there was. */
  drop(topic: string, id?: string): readonly BusRecord[] {
    const doomed = new Set<Delayed>();
    const candidates = id === undefined ? this.#waiting.keys() : [name(topic, id)];
    for (const key of candidates) {
      const found = this.#waiting.get(key);
      if (found?.[0]?.record.topic !== topic) continue;
      for (const delayed of found) doomed.add(delayed);
      this.#waiting.delete(key);
    }
    if (doomed.size > 0) this.#agenda.retain((item) => !doomed.has(item as Delayed));
    return [...doomed].map(({ record }) => record);
  }

  clear(): void {
    const doomed = new Set<Timed>([...this.#waiting.values()].flat());
    this.#agenda.retain((item) => !doomed.has(item));
    this.#waiting.clear();
  }
}
