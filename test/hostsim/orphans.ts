import type { ContainerOptions, Engine } from './dockerd.ts';
import type { ProcessOptions, SimProcess } from './processes.ts';
import { startProcess } from './processes.ts';

/** A process whose container this engine once had. */
export interface Orphan extends SimProcess { readonly containerId: string }

/**
 * Makes a real orphan: a process of the host, in the cgroup of a container that was started and then removed by force.
 * `keep`: the container is left stopped instead.
 */
export async function makeOrphan(engine: Engine, options: { readonly container?: ContainerOptions; readonly process?: ProcessOptions; readonly keep?: boolean } = {}): Promise<Orphan> {
  const containerId = await engine.run(options.container);
  const orphan = await startProcess(engine.sandbox, { ...options.process, cgroup: `docker/${containerId}` });
  if (options.keep === true) await engine.kill(containerId).then(() => engine.wait(containerId));
  else await engine.rm(containerId);
  return { ...orphan, containerId };
}
