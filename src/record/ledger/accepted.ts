import type { Store } from './store.ts';

/** What an admin accepted of an engine that has forgotten containers. */
export interface AcceptanceLedger {
  /** These containers (full ids) cast no doubt on the engine from now on, unless it lists them again. */
  acceptContainers(ids: readonly string[], at: number): void;
}

export function acceptanceIn(store: Store): AcceptanceLedger {
  const accept = store.prepare('INSERT INTO accepted_containers (id, at) VALUES (?, ?) ON CONFLICT DO NOTHING');
  return {
    acceptContainers: (ids, at) => store.write(() => {
      for (const id of ids) accept.run(id, at);
    }),
  };
}

/** Inside a transaction: an engine that lists a container knows it again, and forgetting it once more is news. */
export function lapsingAcceptances(store: Store): () => void {
  const lapse = store.prepare('DELETE FROM accepted_containers WHERE id IN (SELECT id FROM containers WHERE present = 1)');
  return () => { lapse.run(); };
}
