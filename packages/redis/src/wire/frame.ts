import type { BusRecord, Channel } from '@ambus/core';
import { encodeMeta, START, TOPIC } from './encode.ts';
import { Frame } from './incoming.ts';

const NEWLINE = 10;

/**
 * Bytes from which on a frame does not go over Pub/Sub itself. The server holds for a listener what it has not read yet, and
 * cuts it off beyond 32 MiB (`client-output-buffer-limit pubsub`); what is fetched waits without such a limit.
 */
export const LARGE: number = 32 * 1024;

const ASIDE = 'ambus:body ';
const BODY = /^(\{[A-Za-z0-9_-]+\.\d+\}):body:\d+$/;

/** Where a frame lies that was laid aside, if this says so. Nothing else can be read by its means. */
export function placeIn(message: Buffer): { readonly tag: string; readonly key: string } | undefined {
  if (message.length > 128 || message.toString('latin1', 0, ASIDE.length) !== ASIDE) return undefined;
  const key = message.toString('latin1', ASIDE.length);
  const tag = BODY.exec(key)?.[1];
  return tag === undefined ? undefined : { tag, key };
}

/** A message of Pub/Sub, which has no headers: its meta, a newline (JSON holds none), its body. */
export function encodeFrame(record: BusRecord): Buffer {
  const meta = encodeMeta(record, record.channel !== 'reply');
  const length = Buffer.byteLength(meta);
  const frame = Buffer.allocUnsafe(length + 1 + record.body.byteLength);
  frame.write(meta, 0);
  frame[length] = NEWLINE;
  frame.set(record.body, length + 1);
  return frame;
}

/**
 * The record in a message of Pub/Sub. One that is not of ours is delivered as bytes.
 *
 * @param topic - where the channel names one
 */
export function decodeFrame(frame: Buffer, channel: Channel, channelName: string, topic?: string): Frame {
  const end = frame.toString('latin1', 0, START.length) === START ? frame.indexOf(NEWLINE) : -1;
  if (end >= 0) return new Frame(frame.subarray(0, end), frame.subarray(end + 1), channel, channelName);
  const meta = topic === undefined ? '{}' : JSON.stringify({ [TOPIC]: topic });
  return new Frame(Buffer.from(meta), frame, channel, channelName);
}
