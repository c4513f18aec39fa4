import { randomUUID } from 'node:crypto';
import { ConnectionError } from '@ambus/core';
import type { StartedTestContainer } from 'testcontainers';
import type { ContainerImage, NodePlan } from '../kind.ts';
import type { DockerRuntime } from './runtime.ts';

/** Where a node's files lie, and where it works. */
const HOME = '/ambus';

/**
 * Creates a container and starts it. Inside it listens on the same ports as outside, so that the addresses that a server
 * tells its clients are right.
 */
export async function startContainer(
  { library, client }: DockerRuntime,
  image: ContainerImage,
  plan: NodePlan,
): Promise<StartedTestContainer> {
  /** testcontainers publishes ports on every interface. */
  class LoopbackContainer extends library.GenericContainer {
    protected override async beforeContainerCreated(): Promise<void> {
      const bindings: Record<string, { HostIp?: string }[]> = this.hostConfig.PortBindings ?? {};
      for (const binding of Object.values(bindings).flat()) binding.HostIp = '127.0.0.1';
    }
  }
  const command = image.command?.(plan.program, plan.args) ?? [plan.program, ...plan.args];
  const name = `ambus-${randomUUID()}`;
  const container = new LoopbackContainer(image.name)
    .withName(name)
    .withExposedPorts(...plan.ports.map((port) => ({ container: port, host: port })))
    .withEnvironment({ ...plan.env })
    .withWaitStrategy(AT_ONCE);
  // What an image runs by itself is at home where the image says.
  if (command.length > 0) {
    container
      .withWorkingDir(HOME)
      // Images with a user of their own could not write where the files are.
      .withUser('0')
      .withCopyContentToContainer(contents(plan.files))
      .withCommand(command);
  }
  try {
    return await container.start();
  } catch (error) {
    // One that ends at once has no ports by the time that they are looked for; why it ended is in its log.
    const failed = client.container.getById(name);
    const log = await failed.logs({ stdout: true, stderr: true }).catch(() => Buffer.alloc(0));
    await failed.remove({ force: true, v: true }).catch(() => {});
    const said = withoutFrames(log).trim();
    throw new ConnectionError(
      `${plan.program} did not start: ${(error as Error).message}${said && `; its log:\n${said}`}`,
      { cause: error },
    );
  }
}

/** Docker puts eight bytes before each piece of output: which stream, and how long. */
export function withoutFrames(output: Buffer): string {
  const pieces: Buffer[] = [];
  for (let at = 0; at + 8 <= output.length; ) {
    const end = at + 8 + output.readUInt32BE(at + 4);
    pieces.push(output.subarray(at + 8, end));
    at = end;
  }
  return Buffer.concat(pieces).toString();
}

/** Files as testcontainers takes them; readable for whoever the server becomes. */
export const contents = (
  files: Readonly<Record<string, string>>,
): { content: string; target: string; mode: number }[] =>
  Object.entries(files).map(([path, content]) => ({ content, target: `${HOME}/${path}`, mode: 0o644 }));

/** Whether it serves is found out by speaking to it, as in every way. */
const AT_ONCE = {
  waitUntilReady: async (): Promise<void> => {},
  withStartupTimeout() {
    return AT_ONCE;
  },
  isStartupTimeoutSet: () => true,
  getStartupTimeout: () => 60_000,
};
