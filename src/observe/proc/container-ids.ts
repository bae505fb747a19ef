const FULL_ID = /(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/g;
/** Nesting gives a handful; a path that holds more was made to be in the way. */
const MAX_IDS = 16;

/** Every full id in a text that is not part of a longer hex word, each once. */
export function fullIdsIn(text: string): readonly string[] {
  return [...new Set(text.match(FULL_ID) ?? [])];
}

/** The first ids of containers in a process's cgroup paths: what to ask the engine about. Whose process it is, others judge. */
export function containerIdsIn(cgroups: readonly string[]): readonly string[] {
  return fullIdsIn(cgroups.join('\n')).slice(0, MAX_IDS);
}
