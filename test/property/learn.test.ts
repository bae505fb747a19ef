import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assess } from '../../src/decide/assess.ts';
import { learnFrom } from '../../src/decide/learn.ts';
import type { Container } from '../../src/model/container.ts';
import type { History } from '../../src/model/history.ts';
import { seen } from '../../src/model/observation.ts';
import { testLedger } from '../unit/record/ledger/hosts.ts';
import { runs, world } from './generate.ts';
import { snapshotOf } from './host.ts';
import { policyOf } from './rules.ts';

/** What both must agree on, in an order that depends on the content alone. The ledger also finds again what was released of a container that was gone for a while. */
function comparable({ firstPassAt, engineId, knownContainerIds, allocations }: History): object {
  return { firstPassAt, engineId, knownContainerIds: knownContainerIds.toSorted(), allocations: allocations.filter((each) => each.releasedAt === null).map((each) => [each.containerId, each.startedAt, each.gpuUuid, each.migUuid, each.observedAt].join(' ')).toSorted() };
}

function isUnstarted(container: Container): boolean {
  return container.inspected && container.startedAt === null;
}

describe('what a dry run takes for learned', () => {
  it('is what the ledger learns of the same looks, one after the other', () => {
    let opened = 0;
    fc.assert(fc.property(fc.array(fc.tuple(world, fc.boolean()), { minLength: 1, maxLength: 4 }), (looks) => {
      const { ledger } = testLedger();
      const started = new Set<string>();
      for (const [{ host, config, now }, releases] of looks) {
        const before = ledger.history();
        const { snapshot, claims } = assess(snapshotOf(host, now), before, policyOf(config));
        const containers = seen(snapshot.engine)?.containers ?? [];
        // Podman has no id to tell its containers by; and what has once started is never again one that never did.
        if (seen(snapshot.engine)?.engineId === null || containers.some((each) => isUnstarted(each) && started.has(each.id))) continue;
        for (const each of containers) if (each.inspected && each.startedAt !== null) started.add(each.id);
        const lesson = { engine: seen(snapshot.engine), claims: claims.claims, owners: new Map(), at: now };
        const learned = learnFrom(before, lesson);
        expect(ledger.recordObservation(lesson.engine, lesson.claims, lesson.owners, now)).toHaveLength(learned.opened.length);
        expect(comparable(learned.history)).toEqual(comparable(ledger.history()));
        opened += learned.opened.length;
        if (releases) for (const each of ledger.history().allocations.slice(0, 2)) ledger.release(each, 'gone', now);
      }
    }), runs(60));
    expect(opened).toBeGreaterThan(20);
  });
});
