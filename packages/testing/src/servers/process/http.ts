import { request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { ConnectionError } from '@ambus/core';

export interface HttpRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Authority to trust. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** Milliseconds that an answer may take. */
const PATIENCE = 10_000;

/** Text of an answer of status 2xx, on a connection of its own; rejects with any other. A login of the url is sent. */
export function http(url: string, { body, ...options }: HttpRequest = {}): Promise<string> {
  const shown = new URL(url);
  shown.username = '';
  shown.password = '';
  return new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? tlsRequest : plainRequest;
    const request = send(url, { ...options, agent: false, timeout: PATIENCE }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => {
        const { statusCode = 0 } = response;
        if (statusCode >= 200 && statusCode < 300) resolve(text);
        else reject(new ConnectionError(`${shown} answers ${statusCode}: ${text.slice(0, 500)}`));
      });
      response.on('error', fail);
    });
    const fail = (cause: Error) => reject(new ConnectionError(`${shown}: ${cause.message}`, { cause }));
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', fail);
    request.end(body);
  });
}
