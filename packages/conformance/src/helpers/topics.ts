import type { CaseContext } from '../context.ts';

/** Topics of this case that the server has, as another bus sees them. */
export async function topicsOf(t: CaseContext): Promise<string[]> {
  const bus = await t.bus();
  const own = t.topic('');
  const topics = await bus.admin.listTopics();
  return topics
    .map(({ topic }) => topic)
    .filter((topic) => topic.startsWith(own))
    .sort();
}
