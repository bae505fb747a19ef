/** Which hierarchies of control groups the host mounts; null: none that is known. */
export type CgroupLayout = 'v1' | 'hybrid' | 'v2' | null;

/** The host's lock as it is found, without taking it. */
export type LockState =
  | { readonly state: 'free' }
  /** `pids`: who has it open, as far as that may be seen. */
  | { readonly state: 'held'; readonly pids: readonly number[] }
  | { readonly state: 'unusable'; readonly why: string };

/** A place that gpuctl appends to. `freeBytes`: what is left on its file system; null: not known. */
export type PlaceState =
  | { readonly state: 'writable'; readonly freeBytes: number | null }
  | { readonly state: 'unwritable'; readonly why: string };

/** The ledger as a reader finds it. */
export type LedgerState =
  | { readonly state: 'none' }
  /** `engineId` null: not learned yet. `newestAt`: the latest instant that it remembers; null: none. */
  | { readonly state: 'sound'; readonly sizeBytes: number; readonly engineId: string | null; readonly engineKind?: 'docker' | 'podman' | null; readonly newestAt: number | null }
  | { readonly state: 'unreadable'; readonly why: string };
