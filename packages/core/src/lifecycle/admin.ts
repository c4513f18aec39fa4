import type { Admin, Page, StartPosition } from '../broker.ts';
import type { Clock } from '../clock.ts';
import { arrayOf, checkArgument, integer, text } from '../config/check.ts';
import { from, group } from '../subscribe/options.ts';
import { startFrom } from '../subscribe/start-from.ts';
import { assertPattern, assertTopic } from '../topic/topic.ts';

/** A broker's `admin`, with defaults for what need not be said. */
export interface BusAdmin extends Admin {
  /**
   * Creates a group, so that messages wait for it; an existing one is left where it is.
   *
   * @param from - default `'new'`
   */
  ensureGroup(pattern: string, group: string, from?: StartPosition): Promise<void>;
  /**
   * Reads a topic from its oldest record on without consuming anything. What was accepted before the call is seen.
   *
   * @param cursor - from the page before; the start when undefined
   * @param limit - most records in the page, at least 1; default 50
   */
  browse(topic: string, cursor?: string, limit?: number): Promise<Page>;
}

/**
 * A broker's `admin` as the bus hands it out: checks names before anything is sent, and connects with the first use, as
 * all that the bus offers does.
 *
 * @param ready - connects the bus where it is not
 */
export function connectedAdmin(admin: Admin, clock: Clock, ready: () => Promise<void>): BusAdmin {
  const onTopic =
    <A extends unknown[], R>(call: (topic: string, ...rest: A) => Promise<R>) =>
    async (topic: string, ...rest: A): Promise<R> => {
      assertTopic(topic);
      await ready();
      return call(topic, ...rest);
    };
  const onGroup =
    <A extends unknown[], R>(call: (pattern: string, name: string, ...rest: A) => Promise<R>) =>
    async (pattern: string, name: string, ...rest: A): Promise<R> => {
      assertPattern(pattern);
      checkArgument('the group', name, group);
      await ready();
      return call(pattern, name, ...rest);
    };
  return {
    listTopics: () => ready().then(() => admin.listTopics()),
    ensureTopic: onTopic((topic) => admin.ensureTopic(topic)),
    deleteTopic: onTopic((topic) => admin.deleteTopic(topic)),
    listGroups: () => ready().then(() => admin.listGroups()),
    group: onGroup((pattern, name) => admin.group(pattern, name)),
    ensureGroup: onGroup((pattern, name, start: StartPosition = 'new') => {
      checkArgument('where the group starts', start, from);
      return admin.ensureGroup(pattern, name, startFrom('where the group starts', start, clock));
    }),
    deleteGroup: onGroup((pattern, name) => admin.deleteGroup(pattern, name)),
    purge: onTopic((topic) => admin.purge(topic)),
    browse: onTopic((topic, cursor?: string, limit = 50) => {
      if (cursor !== undefined) checkArgument('the cursor', cursor, text(4_096));
      checkArgument('the limit', limit, integer(1));
      return admin.browse(topic, cursor, limit);
    }),
    remove: onTopic((topic, positions: readonly string[]) => {
      checkArgument('the positions', positions, arrayOf(text(4_096)));
      return admin.remove(topic, positions);
    }),
  };
}
