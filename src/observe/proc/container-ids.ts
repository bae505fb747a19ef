import { fullIdsIn } from '../../model/container.ts';

/** Nesting gives a handful; a path that holds more was made to be in the way. */
const MAX_IDS = 16;

/** The first ids of containers in a process's cgroup paths: what to ask the engine about. Whose process it is, others judge. */
export function containerIdsIn(cgroups: readonly string[]): readonly string[] {
  return fullIdsIn(cgroups.join('\n')).slice(0, MAX_IDS);
}
