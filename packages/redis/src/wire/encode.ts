import type { BusRecord, Extensions } from '@ambus/core';

/** How every meta of ours begins, so that it can be told from what others write. */
export const START = '{"specversion":"1.0","id":"';

/** Attributes by field, named as CloudEvents names them. `id` and `time` come first, always. */
export const TEXTS = {
  key: 'partitionkey',
  correlationId: 'correlationid',
  causationId: 'causationid',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
  replyTo: 'ambusreplyto',
  deduplicationKey: 'ambusdeduplication',
} as const;
export const TIMES = { expiresAt: 'expirytime', deliverAt: 'ambusdeliverat' } as const;
export const EXTENSIONS: Readonly<Record<keyof Extensions, string>> = {
  delivery: 'ambusdelivery',
  retry: 'ambusretry',
  target: 'ambustarget',
  deadLetter: 'ambusdeadletter',
  error: 'ambuserror',
  responder: 'ambusresponder',
};
export const PRIORITY = 'ambuspriority';
export const TOPIC = 'ambustopic';

const NORMAL = 2;
const PLAIN = /^[\w.:/-]*$/;

const textEntries = Object.entries(TEXTS) as [keyof typeof TEXTS, string][];
const timeEntries = Object.entries(TIMES) as [keyof typeof TIMES, string][];
const extensionEntries = Object.entries(EXTENSIONS) as [keyof Extensions, string][];

const quote = (text: string): string => (PLAIN.test(text) ? `"${text}"` : JSON.stringify(text));

let lastTime = -1;
let lastTimeText = '';

/** Many messages share a millisecond. */
function timeText(time: number): string {
  if (time !== lastTime) {
    lastTime = time;
    lastTimeText = new Date(time).toISOString();
  }
  return lastTimeText;
}

/** The part that messages of one publisher and kind have in common, made once for many. */
interface Tail {
  readonly source: string | undefined;
  readonly type: string | undefined;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly dataSchema: string | undefined;
  readonly text: string;
}

let lastTail: Tail | undefined;

function tailOf({ source, type, contentType, contentEncoding, dataSchema }: BusRecord): string {
  const last = lastTail;
  if (
    last !== undefined &&
    last.source === source &&
    last.type === type &&
    last.contentType === contentType &&
    last.contentEncoding === contentEncoding &&
    last.dataSchema === dataSchema
  ) {
    return last.text;
  }
  const attributes = {
    source,
    type,
    datacontenttype: contentType,
    dataschema: dataSchema,
    ambusencoding: contentEncoding,
  };
  const json = JSON.stringify(attributes);
  const text = json === '{}' ? '}' : `,${json.slice(1)}`;
  lastTail = { source, type, contentType, contentEncoding, dataSchema, text };
  return text;
}

/**
 * A record's metadata: a CloudEvents 1.0 event in JSON without its data. Written by hand, because this runs for every
 * message; what varies comes before what does not, so that a reader recognises the latter without parsing it.
 *
 * @param named - whether the topic is in it: only where the way does not tell
 */
export function encodeMeta(record: BusRecord, named: boolean): string {
  const { id } = record;
  let text = PLAIN.test(id) ? START + id : START + JSON.stringify(id).slice(1, -1);
  text += `","time":"${timeText(record.time)}"`;
  if (named) text += `,"${TOPIC}":"${record.topic}"`;
  for (const [field, name] of textEntries) {
    const value = record[field];
    if (value !== undefined) text += `,"${name}":${quote(value)}`;
  }
  for (const [field, name] of timeEntries) {
    const value = record[field];
    if (value !== undefined) text += `,"${name}":"${new Date(value).toISOString()}"`;
  }
  if (record.priority !== NORMAL) text += `,"${PRIORITY}":"${record.priority}"`;
  const { extensions, headers } = record;
  if (extensions !== undefined) {
    for (const [field, name] of extensionEntries) {
      const value = extensions[field];
      if (value !== undefined) text += `,"${name}":${quote(value)}`;
    }
  }
  if (headers !== undefined) text += `,"headers":${JSON.stringify(headers)}`;
  return text + tailOf(record);
}
