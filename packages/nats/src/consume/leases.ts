import { ConfigError, TimeoutError } from '@ambus/core';
import type { Link } from '../link/link.ts';
import { infoOf } from '../server/consumers.ts';
import type { Space } from '../server/space.ts';
import type { ClassFlow, GroupLoan } from './class-flow.ts';
import { ACKED, GONE, LENT } from './delivery.ts';
import { soon } from './flow.ts';
import { rememberReleases } from './releases.ts';
import { NAK, sendSettlements, WORKING } from './settle.ts';

const NONE: ReadonlySet<string> = new Set();

/** Milliseconds before a consumer that nobody led is told again. */
const AGAIN = 100;

/** Renews what is due of these flows, and returns what was not renewed in time. */
export function renewLeases(link: Link, flows: Iterable<ClassFlow>, ackWait: number): readonly GroupLoan[] {
  const now = Date.now();
  const gone: GroupLoan[] = [];
  for (const { loans } of flows) {
    const due: GroupLoan[] = [];
    for (const loan of loans) {
      const age = now - loan.renewed;
      if (age > ackWait) gone.push(loan);
      else if (age > ackWait / 3) due.push(loan);
    }
    if (due.length > 0 && link.canSend) renew(link, due, now);
  }
  return gone;
}

/** The server handles what one consumer is told in order: an answer to the last renewal stands for all. */
function renew(link: Link, loans: readonly GroupLoan[], now: number): void {
  sendSettlements(link, loans, WORKING).then(
    () => {
      for (const loan of loans) loan.renewed = Math.max(loan.renewed, now);
    },
    () => {},
  );
}

/**
 * Settles for as long as the leases hold, over a broken connection and while a consumer has no leader also again.
 *
 * @returns those whose lease ran out meanwhile, or whose consumer was deleted
 */
export async function settleLoans(
  space: Space,
  loans: readonly GroupLoan[],
  verb: string,
  ackWait: number,
): Promise<readonly GroupLoan[]> {
  const { link } = space;
  let left = loans;
  const late: GroupLoan[] = [];
  while (left.length > 0) {
    try {
      await sendSettlements(link, left, verb);
      return late;
    } catch (error) {
      if (link.closed || ConfigError.is(error)) throw error;
      const end = Math.max(...left.map(({ renewed }) => renewed + ackWait));
      await link.ready(end).catch((reason: unknown) => {
        // Any other reason is for good.
        if (!TimeoutError.is(reason)) throw reason;
      });
      const gone = TimeoutError.is(error) ? await deletedOf(space, left, end) : NONE;
      const now = Date.now();
      const isOurs = ({ renewed, origin }: GroupLoan): boolean =>
        now - renewed <= ackWait && !gone.has(origin.consumer);
      late.push(...left.filter((loan) => !isOurs(loan)));
      left = left.filter(isOurs);
    }
  }
  return late;
}

/** Those of their consumers that are not there any more, as far as the server says so in time. */
async function deletedOf(space: Space, loans: readonly GroupLoan[], end: number): Promise<Set<string>> {
  await new Promise((resolve) => setTimeout(resolve, AGAIN).unref());
  const deleted = new Set<string>();
  const consumers = new Set(loans.map(({ origin }) => origin.consumer));
  const looks = Array.from(consumers, async (consumer) => {
    const isThere = await infoOf(space, consumer).then(
      (info) => info !== undefined,
      () => true,
    );
    if (!isThere) deleted.add(consumer);
  });
  await soon(Promise.all(looks), Math.max(end - Date.now(), 0));
  return deleted;
}

/** Gives back to the server what core does not have, in the order of the stream and uncounted. */
export async function giveBackLoans(space: Space, loans: readonly GroupLoan[]): Promise<void> {
  const { link } = space;
  if (loans.length === 0) return;
  if (!link.canSend) return unreturned(loans);
  const byConsumer = Map.groupBy(loans, ({ origin }) => origin.consumer);
  for (const [consumer, group] of byConsumer) await rememberReleases(space, consumer, group);
  const sorted = inOrder(loans);
  for (const loan of sorted) loan.state = GONE;
  await sendSettlements(link, sorted, NAK).catch(() => unreturned(loans));
}

function unreturned(loans: readonly GroupLoan[]): void {
  for (const origin of new Set(loans.map((loan) => loan.origin))) origin.unreturned();
}

/** In the order of the stream, in which the server then delivers them again. */
export function inOrder(loans: readonly GroupLoan[]): GroupLoan[] {
  return loans.toSorted((a, b) => a.seq - b.seq);
}

/** Which of them may be settled; which have run out by the clock; and which were settled otherwise, or lost. */
export function sortOut(
  loans: readonly GroupLoan[],
  ackWait: number,
): Readonly<Record<'own' | 'expired' | 'foreign', GroupLoan[]>> {
  const now = Date.now();
  const [own, expired, foreign]: [GroupLoan[], GroupLoan[], GroupLoan[]] = [[], [], []];
  for (const loan of loans) {
    if (loan.state === LENT) (now - loan.renewed > ackWait ? expired : own).push(loan);
    else if (loan.state !== ACKED) foreign.push(loan);
  }
  return { own, expired, foreign };
}
