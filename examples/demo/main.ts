// A small fleet of agents indexes a directory over a message bus:
//
//   npm run demo                                   this repository, in memory
//   npm run demo -- ~/notes --broker redis         another directory, over Redis
//
// The agents know topics, not each other, and no broker. Here they are in one process; `agents/` is written so that each
// could be a service of its own.
import { randomBytes } from 'node:crypto';
import { consoleLogger, createBus } from '@ambus/core';
import { crawl } from './agents/crawler.ts';
import { startIndexer } from './agents/indexer.ts';
import { Librarian } from './agents/librarian.ts';
import { Observer } from './agents/observer.ts';
import { REVIEWER_COUNT, seatReviewers } from './agents/reviewers.ts';
import { type Options, readOptions, USAGE, UsageError } from './options.ts';
import { showUntilDone, until } from './progress.ts';
import { printDeadLetters, printHits, printSummary, printVotes } from './report.ts';
import { placeOf } from './server.ts';
import type { Found, Hit, Review, Topics, Vote } from './topics.ts';
import { leaveNoTraces } from './traces.ts';

async function demo({ directory, broker, url, search }: Options, signal: AbortSignal): Promise<void> {
  await using place = await placeOf(broker, url);
  // The one place that knows which broker it is. `await using` closes the bus however this function ends: handlers run to
  // their end, what they publish is sent, the connection is given back.
  await using bus = await createBus<Topics>({
    broker,
    url: place.url,
    prefix: `demo-${randomBytes(6).toString('hex')}`,
    retry: { delays: [100, 300] },
    logger: consoleLogger('error'),
  });
  await using _traces = leaveNoTraces(bus);
  await using fleet = new AsyncDisposableStack();

  console.log(`Indexing ${directory} over ${bus.broker}`);
  const observer = new Observer();
  const librarian = new Librarian();
  fleet.use(await observer.watch(bus));
  fleet.use(await librarian.learn(bus));
  fleet.use(await librarian.answer(bus));
  for (const reviewer of await seatReviewers(bus)) fleet.use(reviewer);
  for (let n = 0; n < 3; n++) fleet.use(await startIndexer(bus, directory));

  // Publish and subscribe: every file is found by the crawler, read by one of the indexers, learned by the librarian.
  const total = await crawl(bus, directory, signal);
  await showUntilDone(() => ({ done: librarian.index.size, failed: observer.dead, total }), signal);
  await until(() => observer.found >= total && observer.indexed >= librarian.index.size, signal);
  printSummary(observer);

  // Dead letters: what could not be handled, with the reason. One is put right and handed in again.
  const { items } = await bus.deadLetters.list({ limit: 1_000 });
  const letters = [...items].sort((a, b) => ((a.data as Found).path < (b.data as Found).path ? -1 : 1));
  printDeadLetters(letters);
  const letter = letters.find(({ reason }) => reason === 'retries-exhausted') ?? letters[0];
  if (letter !== undefined) {
    const found = letter.data as Found;
    const isOldText = letter.error?.code === 'ERR_ENCODING_INVALID_ENCODED_DATA';
    const edited: Found = { ...found, readAs: isOldText ? 'latin1' : 'name' };
    await bus.deadLetters.replay(letter.id, { edit: () => ({ data: edited }) });
    await until(() => librarian.index.has(found.path), signal);
    console.log(`\nReplayed ${found.path}, read as ${edited.readAs}: indexed`);
  }

  // Scatter: one request, an answer from each reviewer.
  const review: Review = { found: total, indexed: librarian.index.size, search };
  const votes = await bus.scatter<Vote>('library.review', review, { max: REVIEWER_COUNT });
  printVotes(votes.map(({ data }) => data));

  // Request and reply.
  const { data: hits } = await bus.request<Hit[]>('library.search', { words: search });
  printHits(search, hits);
}

/** What went wrong first, when closing failed as well because of it. */
function firstOf(error: unknown): unknown {
  return error instanceof SuppressedError ? firstOf(error.suppressed) : error;
}

const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort());
try {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) console.log(USAGE);
  else await demo(options, interrupted.signal);
} catch (thrown) {
  const error = firstOf(thrown) as Error;
  if (interrupted.signal.aborted) {
    console.log('\nInterrupted: the agents have ended their work, and the bus is closed.');
    process.exitCode = 130;
  } else if (error instanceof UsageError) {
    console.error(`${error.message}; npm run demo -- --help tells what there is`);
    process.exitCode = 2;
  } else {
    console.error(error.message);
    process.exitCode = 1;
  }
}
