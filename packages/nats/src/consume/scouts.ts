import type { DriverSubscription } from '../link/driver.ts';
import { fewSubjectsOf, RARE_CLASSES, type RecordClass } from '../names.ts';
import type { Space } from '../server/space.ts';

/**
 * Looks out for records of classes that a group has no consumer for yet. What is published to a stream passes core NATS as
 * well, so the first record of a class is seen the moment that it is sent; its scout then goes.
 */
export class Scouts {
  readonly #space: Space;
  readonly #subjects: readonly string[];
  readonly #found: (recordClass: RecordClass) => void;
  readonly #scouts = new Map<RecordClass, readonly DriverSubscription[]>();
  #schedules: readonly DriverSubscription[] = [];

  constructor(space: Space, pattern: string, found: (recordClass: RecordClass) => void) {
    this.#space = space;
    this.#subjects = fewSubjectsOf(pattern);
    this.#found = found;
  }

  /** Sends out those that are not there, but for the classes that `has` is true for. */
  open(has: (recordClass: RecordClass) => boolean): void {
    const { link, names } = this.#space;
    for (const recordClass of RARE_CLASSES) {
      if (this.#scouts.has(recordClass) || has(recordClass)) continue;
      const scouts = this.#subjects.map((topic) =>
        link.subscribe(names.data(recordClass, topic), undefined, () => this.#found(recordClass)),
      );
      this.#scouts.set(recordClass, scouts);
    }
    if (this.#schedules.length > 0) return;
    this.#schedules = this.#subjects.map((topic) =>
      link.subscribe(names.schedules('*', topic), undefined, ({ subject }) => {
        const recordClass = names.classOf(subject);
        if (recordClass !== 'n') this.#found(recordClass);
      }),
    );
  }

  /** There is a consumer for this class now. */
  done(recordClass: RecordClass): void {
    for (const scout of this.#scouts.get(recordClass) ?? []) scout.unsubscribe();
    this.#scouts.delete(recordClass);
  }

  close(): void {
    for (const recordClass of RARE_CLASSES) this.done(recordClass);
    for (const scout of this.#schedules) scout.unsubscribe();
    this.#schedules = [];
  }
}
