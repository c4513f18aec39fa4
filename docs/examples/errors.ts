import { BusError, NoRespondersError, RemoteError, TimeoutError } from '@ambus/core';
import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus } = test;

// #region handle
async function ask(topic: string): Promise<string> {
  try {
    return (await bus.request<string>(topic)).data;
  } catch (error) {
    if (NoRespondersError.is(error) || TimeoutError.is(error)) return 'nobody is there';
    if (RemoteError.is(error)) return `the responder failed: ${error.message}`;
    if (BusError.is(error)) return `${error.code}, ${error.retryable ? 'try again' : 'give up'}`;
    throw error;
  }
}
// #endregion handle

await bus.respond('broken', () => Promise.reject(new Error('out of paper')));
for (const topic of ['nobody', 'broken', 'not a topic']) console.log(await ask(topic));
