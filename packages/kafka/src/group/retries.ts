import type { Entry } from '../feed/entry.ts';
import { toRetry } from '../feed/origin.ts';
import type { Hub } from '../hub.ts';
import { PublishCall } from '../publish/call.ts';
import { sizeConfig } from '../topics/config.ts';

/** Kept until they are settled, however long that takes. */
const CONFIG = Object.freeze({ 'retention.ms': '-1', 'retention.bytes': '-1' });

/**
 * Puts a record where the group's long queue of retries is. It is stored there before it is settled where it came from;
 * whoever reads both settles the first. Resolves to false where the topic is missing and may not be made.
 */
export async function moveToRetries(
  hub: Hub,
  group: string,
  slots: number,
  entry: Entry,
  due: number,
): Promise<boolean> {
  const name = hub.names.retries(group);
  const [found] = await hub.catalog.find([name]);
  if (found === undefined && !hub.creates) return false;
  const { leaders } = found ?? (await hub.own(name, slots, { ...sizeConfig(hub.settings), ...CONFIG }));
  const call = new PublishCall(1, Date.now() + hub.settings.requestTimeout * 2);
  hub.publisher.add(name, entry.part.slot % leaders.length, entry.record.topic, toRetry(entry, due), call, 0);
  hub.publisher.flush();
  await call.promise;
  return true;
}
