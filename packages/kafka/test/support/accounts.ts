import type { Server, ServerOptions } from '@ambus/testing';
import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  Kafka,
  logLevel,
  ResourcePatternTypes,
  type SASLOptions,
} from 'kafkajs';
import { startKafka } from './start.ts';

const LOGIN = 'org.apache.kafka.common.security.plain.PlainLoginModule';

/** `owner` may do everything, and `app` what the README says of an account that may create nothing. */
export type Account = 'owner' | 'app';

const passwordOf = (account: Account): string => `${account}-secret`;

export function as(username: Account): Extract<SASLOptions, { mechanism: 'plain' }> {
  return { mechanism: 'plain', username, password: passwordOf(username) };
}

/**
 * A server that knows both accounts, and lets each do no more than it may.
 *
 * @param prefix - of the buses that `app` is for; left out: of any
 */
export async function startWithAccounts(
  options: ServerOptions['kafka'] = {},
  prefix?: string,
): Promise<Server> {
  const users = (['owner', 'app'] as const).map((account) => `user_${account}="${passwordOf(account)}"`);
  const server = await startKafka({
    ...options,
    auth: 'plain',
    properties: {
      'listener.name.client.plain.sasl.jaas.config': `${LOGIN} required ${users.join(' ')};`,
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': 'User:owner;User:ANONYMOUS',
    },
  });
  await allow(server, prefix);
  return server;
}

/** What the README says that an account needs which may create nothing. */
async function allow({ host, port }: Server, prefix?: string): Promise<void> {
  const client = new Kafka({ brokers: [`${host}:${port}`], sasl: as('owner'), logLevel: logLevel.NOTHING });
  const admin = client.admin();
  await admin.connect();
  const { TOPIC, GROUP: GROUPS, TRANSACTIONAL_ID } = AclResourceTypes;
  const { READ, WRITE, DESCRIBE, DELETE } = AclOperationTypes;
  const named = (name: string) =>
    prefix === undefined
      ? { resourceName: '*', resourcePatternType: ResourcePatternTypes.LITERAL }
      : { resourceName: `${prefix}.${name}`, resourcePatternType: ResourcePatternTypes.PREFIXED };
  const rules: [number, string, number[]][] = [
    [TOPIC, '', [READ, WRITE, DESCRIBE]],
    [TOPIC, '-retries.', [DELETE]],
    [GROUPS, '', [READ, DESCRIBE]],
    [TRANSACTIONAL_ID, '', [WRITE, DESCRIBE]],
  ];
  await admin.createAcls({
    acl: rules.flatMap(([resourceType, name, operations]) =>
      operations.map((operation) => ({
        resourceType,
        ...named(name),
        principal: 'User:app',
        host: '*',
        operation,
        permissionType: AclPermissionTypes.ALLOW,
      })),
    ),
  });
  await admin.disconnect();
}
