import type { Bus, GroupInfo } from '@ambus/core';
import type { CaseContext } from '../context.ts';

/** Makes a group that has no member: what is published from now on waits for it. */
export async function standingGroup(bus: Bus, pattern: string, group: string): Promise<void> {
  const subscription = await bus.subscribe(pattern, () => {}, { group });
  await subscription.unsubscribe();
}

/** What the server says of a group; undefined where there is none, or where the broker does not tell. */
export async function groupInfo(bus: Bus, pattern: string, group: string): Promise<GroupInfo | undefined> {
  if (bus.capabilities.admin === 'none') return undefined;
  return bus.admin.group(pattern, group);
}

/** Waits until nothing of the group is unsettled, where the broker can tell. */
export async function settled(
  t: CaseContext,
  bus: Bus,
  pattern: string,
  group: string,
  within?: number,
): Promise<void> {
  if (bus.capabilities.admin === 'none') return;
  const isSettled = async (): Promise<boolean> => (await groupInfo(bus, pattern, group))?.depth === 0;
  await t.until('everything is settled', isSettled, within);
}
