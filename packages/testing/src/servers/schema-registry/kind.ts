import { join } from 'node:path';
import { ConfigError, check } from '@ambus/core';
import { installed } from '../cache/install.ts';
import type { Kind, ServerPlan } from '../kind.ts';
import { java } from '../native/java.ts';
import { mavenArchive } from '../native/maven.ts';
import { commonChecks } from '../options.ts';
import { type HttpRequest, http } from '../process/http.ts';
import { freePorts } from '../process/ports.ts';
import { serverUrl } from '../server-url.ts';
import { makeCertificates } from '../tls/certificates.ts';
import type { CommonServerOptions } from '../types.ts';

/** Options of `startServer('schema-registry')`. */
export interface SchemaRegistryServerOptions extends CommonServerOptions {
  /** Speaks only TLS. Default false. */
  readonly tls?: boolean | undefined;
}

const VERSION = '2.6.13.Final';
const API = '/apis/ccompat/v7';

const SPEC: check.Spec<SchemaRegistryServerOptions> = { ...commonChecks, tls: check.boolean };

/** Apicurio in memory, which speaks the protocol of Confluent's registry: a restart empties it. */
export const schemaRegistryKind: Kind<SchemaRegistryServerOptions> = {
  name: 'schema-registry',
  variable: 'AMB_SCHEMA_REGISTRY_URL',
  check: (options) => check.checkOptions('startServer option', options, SPEC, ConfigError),
  plan,
  async native({ args = [] }) {
    const found = await java();
    const root = await installed(`apicurio-${VERSION}`, (directory) =>
      mavenArchive(found, directory, `io.apicurio:apicurio-registry-app:${VERSION}:tar.gz:all`),
    );
    const jar = join(root, `apicurio-registry-app-${VERSION}-runner.jar`);
    const small = ['-Xmx192m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
    return () => ({ command: [found.path, ...small, '-jar', jar, ...args] });
  },
  image: ({ tls }) =>
    tls ? undefined : { name: `apicurio/apicurio-registry-mem:${VERSION}`, command: () => [] },
  attach(url) {
    const { host, port } = serverUrl('AMB_SCHEMA_REGISTRY_URL', url, { 'http:': 80, 'https:': 443 });
    return {
      url,
      host,
      port,
      async version() {
        await http(`${url}/subjects`);
        return 'schema registry';
      },
      wipe: () => wipe(url),
    };
  },
};

async function plan({ tls }: SchemaRegistryServerOptions, host: string): Promise<ServerPlan> {
  const certificates = tls ? makeCertificates() : undefined;
  const [port = 0, unused = 0] = await freePorts(2);
  const origin = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`;
  const env: Record<string, string> = {
    QUARKUS_HTTP_HOST: host,
    QUARKUS_HTTP_PORT: String(tls ? unused : port),
    ...(tls
      ? {
          QUARKUS_HTTP_SSL_PORT: String(port),
          QUARKUS_HTTP_INSECURE_REQUESTS: 'disabled',
          QUARKUS_HTTP_SSL_CERTIFICATE_FILES: 'server.pem',
          QUARKUS_HTTP_SSL_CERTIFICATE_KEY_FILES: 'server.key',
        }
      : {}),
  };
  return {
    nodes: [
      {
        name: 'n1',
        url: () => `${origin}${API}`,
        port,
        ports: [port],
        program: 'apicurio',
        args: [],
        env,
        files:
          certificates === undefined
            ? {}
            : { 'server.pem': certificates.server.cert, 'server.key': certificates.server.key },
        ready: () => http(`${origin}/health/ready`, certificates?.client),
      },
    ],
    ...(certificates === undefined ? {} : { tls: certificates.client }),
    version: async () => `Apicurio ${VERSION}`,
    wipe: () => wipe(`${origin}${API}`, certificates?.client),
  };
}

/** Deletes all subjects for good, and not only from the lists. */
async function wipe(url: string, request: HttpRequest = {}): Promise<void> {
  const subjects: string[] = JSON.parse(await http(`${url}/subjects?deleted=true`, request));
  for (const subject of subjects) {
    const one = `${url}/subjects/${encodeURIComponent(subject)}`;
    // One that was deleted before cannot be deleted again, only for good.
    await http(one, { ...request, method: 'DELETE' }).catch(() => {});
    await http(`${one}?permanent=true`, { ...request, method: 'DELETE' });
  }
}
