import { type BrokerHost, BusError, ConfigError } from '@ambus/core';
import type { Cluster } from '../driver/cluster.ts';
import { Code, isRefusal } from '../driver/errors.ts';
import type { Committed } from '../driver/group-requests.ts';
import type { Part } from '../feed/part.ts';
import type { GroupMember } from './member.ts';

/** Brings the accounts of a member's partitions to the server. */
export interface Commits {
  /** Resolves when what is accounted now is committed; to false when the membership was lost before. */
  commit(): Promise<boolean>;
  /** Commits soon; nobody waits for it. */
  touch(): void;
  /** As `commit`, without waiting for those that are under way where that may be. */
  commitAtOnce(): Promise<boolean>;
  /** All that was waited for is in vain. */
  lost(): void;
  close(): void;
}

/** What a commit says. */
export interface Accounts {
  readonly parts: readonly Part[];
  readonly entries: readonly Committed[];
  /** Whether an account was so long that not even all that is settled is in it. */
  readonly lossy: boolean;
}

/** The accounts that have changed since they were last taken. They are to be marked again if they do not arrive. */
export function takeAccounts(all: Iterable<Part>): Accounts {
  const parts: Part[] = [];
  const entries: Committed[] = [];
  let lossy = false;
  for (const part of all) {
    if (!part.dirty) continue;
    part.dirty = false;
    const { topic, partition, ledger } = part;
    const whole = ledger.encode();
    part.room.measure();
    const { text: metadata, told } =
      whole === undefined ? ledger.encodeShort() : { text: whole, told: Number.POSITIVE_INFINITY };
    part.told = told;
    if (told !== Number.POSITIVE_INFINITY) lossy = true;
    parts.push(part);
    entries.push({ topic, partition, offset: ledger.floor, metadata });
  }
  return { parts, entries, lossy };
}

/**
 * Tells, once of each subscription, of what went wrong and is no error of the bus: it is tried again like any other, and
 * nobody would hear of it.
 */
export function tellOnce(host: Pick<BrokerHost, 'warning'>, group: string): (error: unknown) => void {
  let told = false;
  return (error) => {
    if (told || BusError.is(error)) return;
    told = true;
    host.warning('the positions of a group could not be committed', { group, error });
  };
}

/** Acts on the code of a commit that was refused. */
export function react(cluster: Cluster, member: GroupMember, error: number, generation: number): void {
  if (error === Code.notCoordinator || error === Code.coordinatorNotAvailable) {
    cluster.forgetCoordinator(member.group);
  } else if (
    error === Code.unknownMember ||
    error === Code.illegalGeneration ||
    error === Code.fencedInstance
  ) {
    // While the group changes a commit may have the number of before; the answer to joining tells then.
    if (member.stable && member.membership?.generation === generation) member.expelled();
  } else if (error === Code.offsetMetadataTooLarge) {
    member.refused(
      new ConfigError(
        `the server does not take the positions of the group "${member.group}": set its offset.metadata.max.bytes to 4096 or more`,
        { broker: 'kafka' },
      ),
    );
  } else if (isRefusal(error)) {
    member.refused(
      new ConfigError(`this account may not commit positions of the group "${member.group}"`, {
        broker: 'kafka',
      }),
    );
  }
}
