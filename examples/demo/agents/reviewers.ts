import type { Bus, Subscription } from '@ambus/core';
import type { Hit, Review, Topics, Vote } from '../topics.ts';

type Opinion = (bus: Bus<Topics>, review: Review) => Promise<Omit<Vote, 'reviewer'>>;

/** Three who look at the index in their own ways. */
const REVIEWERS: Readonly<Record<string, Opinion>> = {
  async completeness(_, { found, indexed }) {
    return { approves: indexed >= found * 0.9, because: `${indexed} of ${found} files are in it` };
  },
  async honesty(_, { found, indexed }) {
    return { approves: indexed <= found, because: 'it holds no file that was not found' };
  },
  // An agent that answers may ask others first.
  async usefulness(bus, { search }) {
    const { data: hits } = await bus.request<Hit[]>('library.search', { words: search });
    return { approves: hits.length > 0, because: `"${search}" finds ${hits.length} files` };
  },
};

export const REVIEWER_COUNT: number = Object.keys(REVIEWERS).length;

/** Seats them all. They are in no group, so each answers each request: that is what `bus.scatter` collects. */
export function seatReviewers(bus: Bus<Topics>): Promise<Subscription[]> {
  return Promise.all(
    Object.entries(REVIEWERS).map(([reviewer, opinion]) =>
      bus.respond('library.review', async ({ data }): Promise<Vote> => {
        return { reviewer, ...(await opinion(bus, data)) };
      }),
    ),
  );
}
