import type { Retention } from '@ambus/core';
import { text } from './api.ts';
import type { Space } from './space.ts';

/** Stands for a rule without any bound, which is not the same as none. */
const ALL = 'keepsAll';

/** What lies on the server for a topic tells that it exists, and for how long the buses want its messages kept. */
export async function toldOf(space: Space, topic: string): Promise<Retention | undefined> {
  const mark = await space.api.last(space.own, space.names.topicMark(topic));
  try {
    const told = mark === undefined ? {} : JSON.parse(text(mark));
    return told[ALL] === true ? {} : said(told);
  } catch {
    // Another program's.
    return undefined;
  }
}

/** What this bus says of it. */
export const saidOf = (space: Space, topic: string): Retention | undefined =>
  said(space.link.host.topic(topic).retention);

/** A rule that wants more kept than what lies there is told: buses that do not know it must not remove what it keeps. */
export async function widen(space: Space, topic: string): Promise<void> {
  const own = saidOf(space, topic);
  if (own === undefined) return;
  const told = await toldOf(space, topic);
  const wide = told === undefined ? own : { ...most('maxAge', told, own), ...most('maxMessages', told, own) };
  if (told !== undefined && told.maxAge === wide.maxAge && told.maxMessages === wide.maxMessages) return;
  const body = JSON.stringify(said(wide) ?? { [ALL]: true });
  await space.api.store(space.names.topicMark(topic), body, 'Nats-Rollup: sub\r\n');
}

/** What is not said is without bounds. */
function most(name: keyof Retention, one: Retention, other: Retention): Retention {
  const [a, b] = [one[name], other[name]];
  return a === undefined || b === undefined ? {} : { [name]: Math.max(a, b) };
}

function said({ maxAge, maxMessages }: Retention): Retention | undefined {
  if (maxAge === undefined && maxMessages === undefined) return undefined;
  return {
    ...(maxAge !== undefined && { maxAge }),
    ...(maxMessages !== undefined && { maxMessages }),
  };
}
