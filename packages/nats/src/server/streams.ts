import { ConfigError } from '@ambus/core';
import { isDenied } from '../link/denials.ts';
import type { Link } from '../link/link.ts';
import type { Names } from '../names.ts';
import { type Answer, type Api, apiError, CODES } from './api.ts';
import {
  checkConfig,
  companionConfig,
  dataConfig,
  differences,
  improvements,
  NANOSECONDS,
  needsCompanion,
  type StreamConfig,
  uncovered,
} from './stream-config.ts';
import { knowsSchedules } from './version.ts';

/** What JetStream says of a stream. */
export interface StreamInfo {
  readonly config: StreamConfig;
  readonly created: string;
  /** Where JetStream is clustered. */
  readonly cluster?: object;
  readonly state: {
    readonly messages: number;
    readonly first_seq: number;
    readonly last_seq: number;
    /** When that was stored, also where it is gone. */
    readonly last_ts: string;
    /** With `subjects_filter`: how many messages each has. */
    readonly subjects?: Readonly<Record<string, number>>;
  };
}

/**
 * The stream of a prefix, as it is on the server. The bus's own records and delayed messages lie in it, too, or in a
 * companion where it would remove them.
 */
export class Streams {
  /** Holds the messages. */
  readonly name: string;
  /** Holds the bus's own records and delayed messages: the same, or the companion. */
  own: string;
  /** How the server keeps messages: `limits`, or only as long as somebody waits for them. */
  retention: string;
  /** Whether the server itself holds delayed messages. */
  canSchedule = false;
  /** Whether the server removes messages by their age. */
  hasMaxAge = false;
  /** Milliseconds that the server remembers deduplication keys; 0 while that is unknown. */
  window = 0;
  readonly #link: Link;
  readonly #api: Api;
  readonly #names: Names;
  #created: string | undefined;

  constructor(link: Link, api: Api, names: Names) {
    this.#link = link;
    this.#api = api;
    this.#names = names;
    this.name = link.settings.stream.name ?? link.host.prefix;
    this.own = this.name;
    this.retention = link.settings.stream.retention ?? 'limits';
  }

  get #mayCreate(): boolean {
    return this.#link.host.provision === 'create';
  }

  /**
   * They are there when it resolves.
   *
   * @throws {ConfigError} naming `what` when one is missing and may not be created
   */
  async ensure(what: string): Promise<void> {
    const found = await this.#find(what);
    if (found === 'unseen') return;
    if (found !== undefined) await this.#adopt(found);
    else await this.#create();
  }

  /** @returns undefined when it is missing and may be made */
  async #find(what: string, name: string = this.name): Promise<StreamInfo | undefined | 'unseen'> {
    let answer: Answer<StreamInfo>;
    try {
      answer = await this.#api.ask<StreamInfo>(`STREAM.INFO.${name}`);
    } catch (error) {
      if (this.#link.host.provision !== 'none' || !isDenied(error)) throw error;
      // It may not even look: what the options and the server say must do.
      this.own = needsCompanion(this.#link) ? this.#companion : this.name;
      this.canSchedule = this.own === this.name && knowsSchedules(this.#link);
      return 'unseen';
    }
    const { value, failure } = answer;
    if (value !== undefined) return value;
    if (failure.err_code !== CODES.streamNotFound) throw apiError(`stream ${name}`, failure);
    if (!this.#mayCreate) throw missing(`stream "${name}", for "${what}",`, what);
    return undefined;
  }

  get #companion(): string {
    return `${this.name}-own`;
  }

  /** Takes what is there, and improves it where this bus needs more of it and may. */
  async #adopt(info: StreamInfo): Promise<void> {
    const stream = this.name;
    const names = this.#names;
    const lacking = uncovered(info.config, [names.messages]);
    if (lacking.length > 0) throw notCovered(stream, lacking);
    const elsewhere = uncovered(info.config, names.own);
    if (elsewhere.length === 1) throw notCovered(stream, elsewhere);
    const holdsOwn = elsewhere.length === 0;
    const config = await this.#improve(stream, info.config, holdsOwn);
    checkConfig(this.#link, stream, config, holdsOwn, this.#companion);
    const differing = differences(this.#link, config);
    if (differing.length > 0) {
      this.#link.host.warning(
        `nats: stream "${stream}" is there already and is used as it is: ${differing.join(', ')}`,
        { stream },
      );
    }
    await this.#use(info.created, config, holdsOwn);
  }

  async #use(created: string, config: StreamConfig, holdsOwn: boolean): Promise<void> {
    if (!holdsOwn) await this.#ensureCompanion();
    this.own = holdsOwn ? this.name : this.#companion;
    this.retention = config.retention ?? 'limits';
    this.canSchedule = holdsOwn && config.allow_msg_schedules === true;
    this.hasMaxAge = (config.max_age ?? 0) > 0;
    this.window = (config.duplicate_window ?? 0) / NANOSECONDS;
    this.#created = created;
  }

  /** @returns the configuration that it has then */
  async #improve(name: string, config: StreamConfig, holdsOwn: boolean): Promise<StreamConfig> {
    if (!this.#mayCreate) return config;
    const schedules = holdsOwn && knowsSchedules(this.#link);
    for (const withSchedules of schedules ? [true, false] : [false]) {
      const changes = improvements(this.#link, config, withSchedules);
      if (changes === undefined) return config;
      const answer = await this.#api
        .ask<StreamInfo>(`STREAM.UPDATE.${name}`, { ...config, ...changes })
        .catch((error: unknown) => {
          // An account that may make streams, but not change them, uses what is there.
          if (!isDenied(error)) throw error;
        });
      if (answer?.value !== undefined) return answer.value.config;
    }
    return config;
  }

  async #create(): Promise<void> {
    const stream = this.name;
    const [link, names] = [this.#link, this.#names];
    const holdsOwn = !needsCompanion(link);
    const subjects = holdsOwn ? names.stored : [names.messages];
    const config = dataConfig(link, stream, subjects, holdsOwn && knowsSchedules(link));
    const { value, failure } = await this.#api.ask<StreamInfo>(`STREAM.CREATE.${stream}`, config);
    if (value !== undefined) return this.#use(value.created, value.config, holdsOwn);
    // Another bus was quicker, with options of its own.
    if (failure.err_code === CODES.streamNameInUse)
      return this.#adopt(await this.#api.get<StreamInfo>(`STREAM.INFO.${stream}`));
    throw apiError(`stream ${stream}`, failure);
  }

  /** @returns whether it was made */
  async #ensureCompanion(): Promise<boolean> {
    const name = this.#companion;
    const { own } = this.#names;
    let found = await this.#find('what the bus keeps for itself', name);
    if (found === 'unseen') return false;
    let wasMade = false;
    if (found === undefined) {
      const config = companionConfig(this.#link, name, own);
      const { value, failure } = await this.#api.ask<StreamInfo>(`STREAM.CREATE.${name}`, config);
      if (failure !== undefined && failure.err_code !== CODES.streamNameInUse) {
        throw apiError(`stream ${name}`, failure);
      }
      wasMade = value !== undefined;
      found = value ?? (await this.#api.get<StreamInfo>(`STREAM.INFO.${name}`));
    }
    const lacking = uncovered(found.config, own);
    if (lacking.length > 0) throw notCovered(name, lacking);
    checkConfig(this.#link, name, await this.#improve(name, found.config, false), true, name);
    return wasMade;
  }

  /**
   * Looks whether they are still the ones that they were, and makes anew what is gone.
   *
   * @returns what was lost: all messages, or only the companion
   */
  async verify(what: string): Promise<'there' | 'lost' | 'companion'> {
    const found = await this.#find(what);
    if (found === 'unseen') return 'there';
    if (found !== undefined && (this.#created === undefined || found.created === this.#created)) {
      return this.own !== this.name && (await this.#ensureCompanion()) ? 'companion' : 'there';
    }
    if (found === undefined) await this.#create();
    else await this.#adopt(found);
    return 'lost';
  }
}

function notCovered(stream: string, lacking: readonly string[]): ConfigError {
  const subjects = lacking.map((subject) => `"${subject}"`).join(', ');
  return new ConfigError(`nats: stream "${stream}" is there, and does not take ${subjects}`, {
    broker: 'nats',
  });
}

export function missing(what: string, topic: string): ConfigError {
  return new ConfigError(`${what} does not exist, and this bus may not create it`, { topic, broker: 'nats' });
}
