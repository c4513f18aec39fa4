import { type Script, script } from '../driver/script.ts';
import * as admin from './admin.ts';
import { CAST, FETCH } from './cast.ts';
import { CANCEL, PROMOTE } from './delays.ts';
import { LIBRARY } from './library.ts';
import { LISTEN, UNLISTEN } from './listen.ts';
import { ATTACH, FOLLOW, TOPICS } from './live.ts';
import { BEAT, HELD, JOIN, LEAVE } from './member.ts';
import { STORE, STORE_PLAIN, TURN } from './publish.ts';
import { TRIM, TRIMMABLE } from './retention.ts';
import { ACK, ACK_PLAIN, NACK, RELEASE } from './settle.ts';
import { TAKE } from './take.ts';

const made = (name: string, source: string): Script => script(name, LIBRARY + source);

type ScriptName =
  | 'store'
  | 'storePlain'
  | 'turn'
  | 'cast'
  | 'fetch'
  | 'join'
  | 'take'
  | 'ack'
  | 'ackPlain'
  | 'nack'
  | 'release'
  | 'held'
  | 'beat'
  | 'leave'
  | 'attach'
  | 'follow'
  | 'topics'
  | 'promote'
  | 'cancel'
  | 'trimmable'
  | 'trim'
  | 'listen'
  | 'unlisten'
  | 'listTopics'
  | 'ensureTopic'
  | 'deleteTopic'
  | 'purge'
  | 'groups'
  | 'deleteGroup'
  | 'browse'
  | 'remove';

/** Everything that runs on the server. */
export const SCRIPTS: Readonly<Record<ScriptName, Script>> = {
  store: made('store', STORE),
  storePlain: script('storePlain', STORE_PLAIN),
  turn: script('turn', TURN),
  cast: script('cast', CAST),
  fetch: script('fetch', FETCH),
  join: made('join', JOIN),
  take: made('take', TAKE),
  ack: made('ack', ACK),
  ackPlain: script('ackPlain', ACK_PLAIN),
  nack: made('nack', NACK),
  release: made('release', RELEASE),
  held: made('held', HELD),
  beat: made('beat', BEAT),
  leave: made('leave', LEAVE),
  attach: made('attach', ATTACH),
  follow: made('follow', FOLLOW),
  topics: made('topics', TOPICS),
  promote: made('promote', PROMOTE),
  cancel: made('cancel', CANCEL),
  trimmable: made('trimmable', TRIMMABLE),
  trim: made('trim', TRIM),
  listen: made('listen', LISTEN),
  unlisten: made('unlisten', UNLISTEN),
  listTopics: made('listTopics', admin.LIST_TOPICS),
  ensureTopic: made('ensureTopic', admin.ENSURE_TOPIC),
  deleteTopic: made('deleteTopic', admin.DELETE_TOPIC),
  purge: made('purge', admin.PURGE),
  groups: made('groups', admin.GROUPS),
  deleteGroup: made('deleteGroup', admin.DELETE_GROUP),
  browse: made('browse', admin.BROWSE),
  remove: made('remove', admin.REMOVE),
};
