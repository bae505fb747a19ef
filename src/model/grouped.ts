/**
 * Groups a list by a key, once for each list: whoever asks about each of five thousand processes must not go through a
 * thousand answers each time. The list must not change afterwards.
 */
export function groupedBy<T, K>(keyOf: (each: T) => K): (all: readonly T[]) => ReadonlyMap<K, readonly T[]> {
  const known = new WeakMap<readonly T[], ReadonlyMap<K, readonly T[]>>();
  return (all) => {
    const groups = known.get(all) ?? Map.groupBy(all, keyOf);
    known.set(all, groups);
    return groups;
  };
}
