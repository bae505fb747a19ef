import type { Shim } from '../model/process.ts';

/** Is this the id of a container that the engine has or once had? */
export type IsOurs = (containerId: string) => boolean;

/**
 * Shims that are evidence that a container lives. A shim of this engine runs beside its containers, never in one of them: a
 * process inside one that names another one of them only calls itself a shim, as anybody who may run containers can make
 * it. What it says of an id that this engine never had counts: an engine may run in a container.
 */
export function shimsFor(containerId: string, shims: readonly Shim[], isOurs: IsOurs): readonly Shim[] {
  const named = shims.filter((shim) => shim.containerIds.includes(containerId));
  return isOurs(containerId) ? named.filter(({ inContainers = [] }) => !inContainers.some(isOurs)) : named;
}
