import { expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import { blockersOf } from '../../../src/decide/blockers.ts';
import { observationFindings } from '../../../src/decide/findings.ts';
import { heldUpRemedy } from '../../../src/decide/held-up.ts';
import { complete, failed, observed } from '../../../src/model/observation.ts';
import { judged, policyOf } from '../../property/rules.ts';
import { GONE, HOUR, JOB, NOW, runningJob, STRANGE, worldOf } from './good-case.ts';

const WHY = 'the environment of its process 123: no answer within 2000 ms';
const WAY = 'not the engine but the kernel holds this up: see /proc/123/stack, or that of the process whose read it left unanswered, and the kernel log (ps may hang as well); end that process, or restart the host if it does not end';

it('of a container whose process does not hand out its environment it is told which process that is, and not to look at the engine', () => {
  const container = { inspected: false, id: JOB, name: 'job', state: 'running', why: WHY, heldUpBy: 123 } as const;
  const before = judged(worldOf({ containers: [container] }));
  const engine = before.snapshot.engine.state === 'failed' ? before.snapshot.engine : observed(before.snapshot.engine.value, [{ subject: JOB, why: WHY }]);
  const [finding, ...more] = observationFindings({ ...before, snapshot: { ...before.snapshot, engine } }, policyOf(defaultConfig())).filter(({ id }) => id === 'source.engine.partial');
  expect([finding?.remedy, more]).toEqual([WAY, []]);
  const { gpus: [gpu], claims, ownership, history, snapshot: { processes } } = before;
  if (gpu === undefined) throw new Error('the good case has a GPU');
  const blockers = blockersOf({ gpu, engine, claims: claims.claims, processes, ownership, history, rules: { cooldownMs: HOUR, maxPerDay: 3 }, now: NOW });
  expect(blockers).toMatchObject([{ kind: 'uninspected-container', hard: true, what: `container job: ${WHY}; so it may claim any device`, wayOut: WAY }]);
});

it('of a container that the engine left out, or that it describes, it is not told that the kernel holds it up', () => {
  const silent = { inspected: false, name: 'job', state: 'running', why: WHY } as const;
  const engine = complete({ kind: 'docker', engineId: null, version: null, answers: [], containers: [{ ...silent, id: GONE, heldUpBy: 123 }, { ...silent, id: STRANGE }, runningJob()] } as const);
  expect([GONE, STRANGE, JOB, 'another'].map((id) => heldUpRemedy(engine, id))).toEqual([WAY, null, null, null]);
  expect(heldUpRemedy(failed('timeout', 'late'), GONE)).toBeNull();
});
