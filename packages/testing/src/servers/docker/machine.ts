import type { StartedTestContainer } from 'testcontainers';
import type { ContainerImage, NodePlan } from '../kind.ts';
import type { Machine } from '../process/machine.ts';
import { contents, startContainer, withoutFrames } from './container.ts';
import { type DockerRuntime, dockerRuntime, needImage } from './runtime.ts';

/** Milliseconds that a server gets to end by itself before it is killed. */
const PATIENCE = 10_000;

/** What makes a container of each node of a plan. Rejects when there is no Docker, or not this image. */
export async function dockerMachines(image: ContainerImage): Promise<(plan: NodePlan) => Promise<Machine>> {
  const runtime = await dockerRuntime();
  await needImage(runtime, image.name);
  return async (plan) => containerMachine(runtime, image, plan);
}

function containerMachine(runtime: DockerRuntime, image: ContainerImage, plan: NodePlan): Machine {
  let started: StartedTestContainer | undefined;
  const container = () =>
    started === undefined ? undefined : runtime.client.container.getById(started.getId());
  const alive = async () => (await container()?.inspect())?.State.Running === true;

  async function signal(name: NodeJS.Signals): Promise<void> {
    if (!(await alive())) return;
    const ending = name === 'SIGKILL' || name === 'SIGTERM';
    // Docker delivers nothing to a frozen one.
    if (ending)
      await container()
        ?.unpause()
        .catch(() => {});
    await container()?.kill({ signal: name });
    if (!ending) return;
    const killer = setTimeout(
      () =>
        container()
          ?.kill()
          .catch(() => {}),
      PATIENCE,
    );
    await container()?.wait();
    clearTimeout(killer);
  }

  return {
    pid: undefined,
    alive,
    signal,
    async start() {
      if (started === undefined) started = await startContainer(runtime, image, plan);
      else if (!(await alive())) await container()?.start();
    },
    async pause() {
      await container()?.pause();
    },
    async resume() {
      await container()?.unpause();
    },
    async write(files) {
      await started?.copyContentToContainer(contents(files));
    },
    async log() {
      const output = await container()?.logs({ stdout: true, stderr: true });
      return output === undefined ? '' : withoutFrames(output);
    },
    async remove() {
      await container()?.remove({ force: true, v: true });
      started = undefined;
    },
  };
}
