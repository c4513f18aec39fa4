import { type BusError, ConfigError, compilePattern, type StartPosition } from '@ambus/core';
import { Group } from '../group/group.ts';
import type { Member } from '../group/member.ts';
import type { Placed } from '../topic/log.ts';
import type { Origin } from './origin.ts';
import { missingTopic, type Space } from './space.ts';

/**
 * Brings a member to its group, or gives it a queue of its own.
 *
 * @throws {ConfigError} naming the topic or group that is missing and may not be created
 */
export function join(space: Space, member: Member, from: StartPosition, origin: Origin): void {
  const { pattern, channel, group } = member.source;
  if (channel === 'durable' && isTopic(pattern) && space.topic(pattern, origin) === undefined) {
    throw missingTopic(pattern);
  }
  const found =
    group === undefined
      ? open(space, new Group(undefined, pattern, channel, space.tools), from)
      : ensureGroup(space, pattern, group, channel, from, origin.create || channel !== 'durable');
  found.join(member);
}

/**
 * Finds a group, or makes it.
 *
 * @throws {ConfigError} naming the group if it is missing and `create` is false
 */
export function ensureGroup(
  space: Space,
  pattern: string,
  name: string,
  channel: Group['channel'],
  from: StartPosition,
  create: boolean,
): Group {
  const found = space.routes.find(channel, pattern, name);
  if (found !== undefined) return found;
  if (!create) {
    throw new ConfigError(`group "${name}" on "${pattern}" does not exist, and this bus may not create it`, {
      topic: pattern,
      broker: 'memory',
    });
  }
  return open(space, new Group(name, pattern, channel, space.tools), from);
}

/** The member goes; what lives only by its members goes with the last one. */
export function leave(space: Space, member: Member): void {
  const { group } = member;
  if (group === undefined) return;
  group.leave(member);
  if (group.durable || group.members.length > 0) return;
  space.routes.remove(group);
  space.tools.dispatcher.wake();
}

/** Deletes a durable group under its members. False when there was none. */
export function deleteGroup(space: Space, pattern: string, name: string): boolean {
  const group = space.routes.find('durable', pattern, name);
  if (group === undefined) return false;
  const members = [...group.members];
  space.routes.remove(group);
  group.end();
  space.tools.dispatcher.wake();
  for (const member of members) {
    fail(
      member,
      new ConfigError(`group "${name}" on "${pattern}" was deleted`, { topic: pattern, broker: 'memory' }),
    );
  }
  return true;
}

/** Ends a subscription for good. */
export function fail(member: Member, error: BusError): void {
  member.ended = true;
  member.sink.failed(error);
}

function isTopic(pattern: string): boolean {
  return !pattern.includes('*') && !pattern.includes('#');
}

/** From here on it gets what is published; what it wants of the past it gets at once. */
function open(space: Space, group: Group, from: StartPosition): Group {
  space.routes.add(group);
  if (group.channel === 'durable' && from !== 'new') {
    for (const { record, seq } of past(space, group, from)) group.push(record, seq);
  }
  return group;
}

function past(space: Space, group: Group, from: Exclude<StartPosition, 'new'>): Placed[] {
  const now = space.tools.now();
  const found: Placed[] = [];
  const wanted = compilePattern(group.pattern);
  for (const topic of space.topics.values()) {
    if (!wanted(topic.name)) continue;
    topic.trim(now);
    const start = from === 'earliest' ? 0 : topic.log.fromTime(from.getTime());
    for (const placed of topic.log.records(start)) found.push(placed);
  }
  return found.sort((a, b) => a.seq - b.seq);
}
