import { ConfigError, check } from '@ambus/core';
import { installed } from '../cache/install.ts';
import type { Kind, ServerPlan } from '../kind.ts';
import { pipInstall, python } from '../native/pip.ts';
import { commonChecks } from '../options.ts';
import { http } from '../process/http.ts';
import { freePort } from '../process/ports.ts';
import { serverUrl } from '../server-url.ts';
import type { CommonServerOptions } from '../types.ts';
import { REQUIREMENTS } from './requirements.ts';
import { wipeLocalStack } from './wipe.ts';

/** Options of `startServer('sqs')`. */
export type SqsServerOptions = CommonServerOptions;

const VERSION = '2026.3.0';

/** LocalStack's server listens on every interface, whatever it is told; here it is made to keep to one. */
const STARTER = `import functools, os
os.environ.setdefault("FILESYSTEM_ROOT", os.getcwd())
from twisted.internet import endpoints
endpoints.TCP4ServerEndpoint = functools.partial(endpoints.TCP4ServerEndpoint, interface=os.environ["AMBUS_HOST"])
from localstack.runtime.main import main
main()
`;

/** SQS and SNS of LocalStack, in memory: a restart empties them. Any credentials will do. */
export const sqsKind: Kind<SqsServerOptions> = {
  name: 'sqs',
  variable: 'AMB_SQS_ENDPOINT',
  check: (options) =>
    check.checkOptions<SqsServerOptions>('startServer option', options, commonChecks, ConfigError),
  plan,
  async native() {
    const found = await python(12);
    const name = `localstack-${VERSION}-${process.platform}-${process.arch}-${found.tag}`;
    const root = await installed(name, (directory) => pipInstall(found, directory, REQUIREMENTS));
    return (_program, args) => ({
      command: [found.path, 'main.py', ...args],
      env: { PYTHONPATH: root },
    });
  },
  image: () => ({ name: 'localstack/localstack:4', command: () => [] }),
  attach(url) {
    const { host, port } = serverUrl('AMB_SQS_ENDPOINT', url, { 'http:': 80, 'https:': 443 });
    return {
      url,
      host,
      port,
      version: () => versionOf(url),
      wipe: () => wipeLocalStack(url),
    };
  },
};

async function plan({ args = [] }: SqsServerOptions, host: string): Promise<ServerPlan> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  return {
    nodes: [
      {
        name: 'n1',
        url: () => url,
        port,
        ports: [port],
        program: 'localstack',
        args,
        env: {
          AMBUS_HOST: host,
          SERVICES: 'sqs,sns',
          STRICT_SERVICE_LOADING: '1',
          EAGER_SERVICE_LOADING: '1',
          DISABLE_EVENTS: '1',
          SKIP_SSL_CERT_DOWNLOAD: '1',
          DNS_ADDRESS: '0',
          SQS_ENDPOINT_STRATEGY: 'path',
          GATEWAY_LISTEN: `${host}:${port}`,
          LOCALSTACK_HOST: `127.0.0.1:${port}`,
        },
        files: { 'main.py': STARTER },
        ready: () => versionOf(url),
      },
    ],
    version: () => versionOf(url),
    wipe: () => wipeLocalStack(url),
  };
}

async function versionOf(url: string): Promise<string> {
  const { version } = JSON.parse(await http(`${url}/_localstack/health`));
  return `LocalStack ${version}`;
}
