import { ConfigError } from '@ambus/core';

type Testcontainers = typeof import('testcontainers');

/** testcontainers, and the Docker that it found. */
export interface DockerRuntime {
  readonly library: Testcontainers;
  readonly client: Awaited<ReturnType<Testcontainers['getContainerRuntimeClient']>>;
}

/** Milliseconds that Docker gets to answer: who has none should not wait for it. */
const PATIENCE = 2_000;
/** Milliseconds for downloading an image. */
const DOWNLOAD = 180_000;
const LOCAL = new Set(['localhost', '127.0.0.1', '::1']);

let found: Promise<DockerRuntime> | undefined;

/** Docker, looked for once. */
export function dockerRuntime(): Promise<DockerRuntime> {
  found ??= find();
  return found;
}

async function find(): Promise<DockerRuntime> {
  const library = await import('testcontainers').catch((error: Error) => {
    throw new ConfigError('the package "testcontainers" is not installed', { cause: error });
  });
  const client = await within(PATIENCE, 'Docker does not answer', library.getContainerRuntimeClient());
  const { host } = client.info.containerRuntime;
  if (!LOCAL.has(host)) throw new ConfigError(`Docker runs on ${host}, and not on this computer`);
  return { library, client };
}

/** Rejects when the image is not here and cannot be downloaded. */
export async function needImage({ library, client }: DockerRuntime, image: string): Promise<void> {
  const name = library.ImageName.fromString(image);
  if (await client.image.exists(name)) return;
  await within(DOWNLOAD, `downloading ${image} takes too long`, client.image.pull(name));
}

async function within<T>(milliseconds: number, problem: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ConfigError(problem)), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
