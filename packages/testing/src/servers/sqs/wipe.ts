import { http } from '../process/http.ts';

/** Regions in which a test may have worked: a LocalStack has each of them, with queues of its own. */
const regions = (): ReadonlySet<string> => {
  const { AWS_REGION, AWS_DEFAULT_REGION } = process.env;
  return new Set(['us-east-1', AWS_REGION || 'us-east-1', AWS_DEFAULT_REGION || 'us-east-1']);
};

/** Deletes all queues, topics and subscriptions. */
export async function wipeLocalStack(url: string): Promise<void> {
  for (const region of regions()) {
    const call = (service: string, parameters: Record<string, string>) =>
      http(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          // Not verified; it says which service of which region is meant.
          authorization: `AWS4-HMAC-SHA256 Credential=test/20250101/${region}/${service}/aws4_request, SignedHeaders=host, Signature=none`,
        },
        body: new URLSearchParams(parameters).toString(),
      });
    const deleteAll = async (service: string, list: string, drop: string, field: string) => {
      for (;;) {
        const answer = await call(service, { Action: list });
        // A subscription that nobody confirmed shows no ARN to remove it by; without its topic it gets nothing.
        const found = [...answer.matchAll(new RegExp(`<${field}>((?:arn|https?):[^<]+)</${field}>`, 'g'))];
        if (found.length === 0) return;
        for (const [, one = ''] of found) await call(service, { Action: drop, [field]: one });
      }
    };
    await deleteAll('sns', 'ListSubscriptions', 'Unsubscribe', 'SubscriptionArn');
    await deleteAll('sns', 'ListTopics', 'DeleteTopic', 'TopicArn');
    await deleteAll('sqs', 'ListQueues', 'DeleteQueue', 'QueueUrl');
  }
}
