import type { Member } from './member.ts';

/** The members that can take a record, each in its turn. */
export class Rota {
  readonly #members: Member[] = [];
  #turn = 0;

  get size(): number {
    return this.#members.length;
  }

  /** Whose turn it is. Only called when there is somebody. */
  next(): Member {
    if (this.#turn >= this.#members.length) this.#turn = 0;
    return this.#members[this.#turn++]!;
  }

  add(member: Member): void {
    this.#members.push(member);
  }

  remove(member: Member): void {
    const at = this.#members.indexOf(member);
    if (at < 0) return;
    this.#members.splice(at, 1);
    if (at < this.#turn) this.#turn--;
  }

  /** Records that could go out now, over all members. */
  get credit(): number {
    let credit = 0;
    for (const member of this.#members) credit += member.credit;
    return credit;
  }
}
