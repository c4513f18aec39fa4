import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;

// #region reply
await bus.respond('math.add', (req) => req.data.a + req.data.b, { group: 'calculators' });
const { data, responder } = await bus.request('math.add', { a: 1, b: 2 }, { timeout: 1_000 });
console.log(data, 'from', responder);
// #endregion reply

// #region errors
await bus.respond('math.divide', (req) => {
  if (req.data.b === 0)
    throw Object.assign(new RangeError('division by zero'), { code: 'DIV0', retryable: false });
  return req.data.a / req.data.b;
});
await bus.request('math.divide', { a: 1, b: 0 }).catch((error) => {
  console.log(error.code, error.message, error.remoteName, error.remoteCode, error.retryable);
});
await bus.request('math.root', { a: 2 }).catch((error) => console.log(error.code, '-', error.message));
// #endregion errors

// #region late
bus.on('reply.late', ({ topic }) => console.log('a late reply on', topic));
await bus.respond('math.prime', async (_req, reply) => {
  await new Promise<void>((resolve) => clock.setTimeout(resolve, 2_000));
  await reply.send(7, { headers: { method: 'sieve' } }); // by hand instead of by return value
});
const asked = bus.request('math.prime', {}, { timeout: 1_000 });
asked.catch((error) => console.log(error.code, '-', error.message));
await clock.advance(2_000);
// #endregion late
