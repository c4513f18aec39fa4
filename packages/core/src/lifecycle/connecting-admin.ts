import type { Admin } from '../broker.ts';

/** The broker's `admin` for a bus that connects with its first use, which may well be this one. */
export function connectingAdmin(admin: Admin, ready: () => Promise<void>): Admin {
  const first = <A extends unknown[], R>(method: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      await ready();
      return method.apply(admin, args);
    };
  };
  return {
    listTopics: first(admin.listTopics),
    ensureTopic: first(admin.ensureTopic),
    deleteTopic: first(admin.deleteTopic),
    listGroups: first(admin.listGroups),
    ensureGroup: first(admin.ensureGroup),
    deleteGroup: first(admin.deleteGroup),
    purge: first(admin.purge),
    browse: first(admin.browse),
    remove: first(admin.remove),
  };
}
