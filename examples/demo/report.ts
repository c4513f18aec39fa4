import type { DeadLetter } from '@ambus/core';
import type { Observer } from './agents/observer.ts';
import type { Found, Hit, Vote } from './topics.ts';

const SHOWN = 10;

export function printSummary(observer: Observer): void {
  console.log('\nSummary');
  console.log('  kind     found  indexed');
  for (const [kind, found, indexed] of observer.table()) row(kind, found, indexed);
  row('all', observer.found, observer.indexed);
  console.log(`  ${observer.dead} dead letters, ${observer.retries} retries`);
}

function row(kind: string, found: number, indexed: number): void {
  console.log(`  ${kind.padEnd(6)} ${String(found).padStart(7)}  ${String(indexed).padStart(7)}`);
}

export function printDeadLetters(letters: readonly DeadLetter[]): void {
  console.log('\nDead letters');
  if (letters.length === 0) console.log('  none');
  for (const { data, reason, attempts, error } of letters.slice(0, SHOWN)) {
    const tries = attempts === 1 ? '1 attempt' : `${attempts} attempts`;
    console.log(`  ${(data as Found).path}\n    ${reason} after ${tries}: ${error?.name}: ${error?.message}`);
  }
  if (letters.length > SHOWN) console.log(`  … and ${letters.length - SHOWN} more`);
}

export function printVotes(votes: readonly Vote[]): void {
  console.log(`\nReview: ${votes.filter(({ approves }) => approves).length} of ${votes.length} approve`);
  const sorted = [...votes].sort((a, b) => (a.reviewer < b.reviewer ? -1 : 1));
  for (const { reviewer, approves, because } of sorted) {
    console.log(`  ${approves ? 'yes' : 'no '}  ${reviewer}: ${because}`);
  }
}

export function printHits(search: string, hits: readonly Hit[]): void {
  console.log(`\nSearch for "${search}"`);
  if (hits.length === 0) console.log('  nothing found');
  for (const { path, score } of hits) console.log(`  ${String(score).padStart(4)}  ${path}`);
}
