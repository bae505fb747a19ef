import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import type { LimitKind, WarningStage } from '../../../src/model/activity.ts';
import { read, unsupported } from '../../../src/model/reading.ts';
import { openLedger } from '../../../src/record/ledger/open.ts';
import { anyProblems, eventsIn, type Outcome } from '../check.ts';
import { linesOf, type Stage } from '../stage.ts';
import { type KillJob, QUIET_LIMITS, statesOf, type Told, toldOf, toldProblems, untouched } from './kill-job.ts';

const HOUR_MS = 3_600_000;

/** Containers of one kind of limit: past it with both warnings, past it with the first alone, and due for the first. */
interface Limited { readonly due: string; readonly half: string; readonly fresh: string }

/** A job about limits, with a container at each of its steps. */
export function limited(kind: LimitKind, { mayStop }: { readonly mayStop: boolean }): KillJob {
  return {
    expected: { nextExits: [0, 1] },
    async ready(stage) {
      stage.host.makeSmiInstant();
      stage.configure({
        notify: { owner: ['container-file'] }, idle: { young_container_grace: '0s', high_demand: { at: '100%', factor: 1 } }, warnings: { idle: ['80%', '95%'], runtime: ['1%', '50%'] },
        limits: { default: QUIET_LIMITS, types: { past: { max_runtime: '1s' }, near: { max_runtime: '5m' } } },
      });
      const run = (name: keyof Limited, type: string): Promise<string> => {
        mkdirSync(workspace(stage, name));
        return stage.run({ gpus: [stage.host.gpu(1).uuid], labels: { 'gpuctl.type': type }, binds: [`${workspace(stage, name)}:/workspace`] });
      };
      const type = (name: string): string => (kind === 'idle' ? 'docker' : name);
      const [fresh, due, half] = await Promise.all([run('fresh', type('near')), run('due', type('past')), run('half', type('past'))]);
      const ids = { due, half, fresh };
      await (kind === 'idle' ? wasIdle(stage, ids) : ranLong(stage, ids));
      // Given by the pass before, the last warning lets this one stop it; given by this one, nothing does yet.
      let mayStopHalf = false;
      return {
        async between() {
          const remembered = warningsIn(stage);
          mayStopHalf = mayStop && remembered.has(`${ids.half} ${kind} final`);
          return betweenProblems(stage, ids, { kind, remembered });
        },
        problems: (outcome) => limitProblems(outcome, ids, { kind, mayStop, mayStopHalf }),
      };
    },
  };
}

function workspace({ host }: Stage, name: keyof Limited): string {
  return join(host.dir, `workspace-${name}`);
}

async function startOf({ ground: { engine } }: Stage, id: string): Promise<number> {
  return Date.parse((await engine.inspect(id)).State.StartedAt);
}

function withLedger(stage: Stage, work: (ledger: ReturnType<typeof openLedger>) => void): void {
  const ledger = openLedger({ file: join(stage.host.stateDir, 'ledger.db'), now: Date.now, mode: 'write' });
  work(ledger);
  ledger.close();
}

/** As if the sampler had followed them for an hour. */
async function wasIdle(stage: Stage, ids: Limited): Promise<void> {
  const [now, bootId] = [Date.now(), readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()];
  for (const [name, hours] of [['due', 1.1], ['half', 1.1], ['fresh', 0.85]] as const) {
    const [containerId, startedAt] = [ids[name], await startOf(stage, ids[name])];
    const last = { containerId, startedAt, at: now - 60_000, bootId, cpuNs: read(0), networkBytes: unsupported, gpuPercent: read(0) };
    withLedger(stage, ({ limits }) => {
      limits.recordActivity([last], [{ containerId, startedAt, last, samples: 20, consecutiveIdle: 20, idleMs: hours * HOUR_MS, activeAt: now - 2 * HOUR_MS }]);
      for (const warning of given(name, [now - HOUR_MS / 2, now - HOUR_MS / 4])) limits.recordWarning({ containerId, startedAt, kind: 'idle', ...warning });
    });
  }
}

/** Their limits are of seconds, which pass. */
async function ranLong(stage: Stage, ids: Limited): Promise<void> {
  for (const name of ['due', 'half'] as const) {
    const [containerId, startedAt] = [ids[name], await startOf(stage, ids[name])];
    withLedger(stage, ({ limits }) => { for (const warning of given(name, [startedAt + 100, startedAt + 700])) limits.recordWarning({ containerId, startedAt, kind: 'runtime', ...warning }); });
  }
  const youngest = Math.max(...await Promise.all(Object.values(ids).map((id: string) => startOf(stage, id))));
  await delay(Math.max(0, youngest + 3500 - Date.now()));
}

function given(name: keyof Limited, [warned, final]: readonly [number, number]): readonly { readonly stage: WarningStage; readonly at: number }[] {
  if (name === 'fresh') return [];
  return [{ stage: 'warned', at: warned }, ...(name === 'due' ? [{ stage: 'final', at: final } as const] : [])];
}

/** What the killed pass remembered, read from a copy: whoever opens a ledger last tidies it up. */
function warningsIn({ host }: Stage): ReadonlySet<string> {
  const copy = mkdtempSync(join(tmpdir(), 'gpuctl-ledger-'));
  try {
    cpSync(host.stateDir, copy, { recursive: true });
    const db = new DatabaseSync(join(copy, 'ledger.db'));
    const rows = db.prepare('SELECT container_id AS id, kind, stage FROM warnings').all();
    db.close();
    return new Set(rows.map(({ id, kind, stage }) => `${String(id)} ${String(kind)} ${String(stage)}`));
  } finally {
    rmSync(copy, { recursive: true });
  }
}

/** One pass gives one step: nobody whom it warns has been stopped by it, and whom it remembers to have warned was told. */
async function betweenProblems(stage: Stage, { half, fresh }: Limited, { kind, remembered }: { readonly kind: LimitKind; readonly remembered: ReadonlySet<string> }): Promise<readonly string[]> {
  const states = await statesOf(stage, [half, fresh]);
  const notice = (name: keyof Limited): string => (existsSync(join(workspace(stage, name), 'GPUCTL-NOTICE.txt')) ? readFileSync(join(workspace(stage, name), 'GPUCTL-NOTICE.txt'), 'utf8') : '');
  return [
    ...(states.join() === 'running,running' ? [] : [`after one pass, those that it may only warn are ${states.join()}`]),
    ...(remembered.has(`${half} ${kind} final`) && !notice('half').includes('last warning') ? ['the last warning is remembered, and its owner was not told'] : []),
    ...(remembered.has(`${fresh} ${kind} warned`) && notice('fresh') === '' ? ['the first warning is remembered, and its owner was not told'] : []),
    ...(remembered.has(`${fresh} ${kind} final`) ? ['the last warning was given with the first'] : []),
  ];
}

/** All that a job about limits leaves alone, it has left alone; what was due is done and told, once. */
async function limitProblems(outcome: Outcome, { due, half, fresh }: Limited, { kind, mayStop, mayStopHalf }: { readonly kind: LimitKind; readonly mayStop: boolean; readonly mayStopHalf: boolean }): Promise<readonly string[]> {
  const { stage } = outcome;
  const events = eventsIn(linesOf(stage));
  const told = (id: string, what: 'warned' | 'final' | 'stopped'): Told => toldOf(events, { id, action: `container.${kind}.${what}`, verb: what === 'stopped' ? 'stop' : 'warn' });
  const [dueIs, halfIs, freshIs] = await statesOf(stage, [due, half, fresh]);
  const remembered = warningsIn(stage);
  return [
    ...await anyProblems(outcome), ...untouched(outcome),
    ...(dueIs === (mayStop ? 'exited' : 'running') ? [] : [`the container past its limit is ${dueIs}`]),
    ...(mayStop ? toldProblems('the stop', told(due, 'stopped')) : []),
    ...(halfIs === (mayStopHalf ? 'exited' : 'running') ? [] : [`the container that ${mayStopHalf ? 'had' : 'had not had'} its last warning is ${halfIs}`]),
    ...(mayStopHalf ? toldProblems('the second stop', told(half, 'stopped')) : []),
    ...(remembered.has(`${half} ${kind} final`) ? [] : ['the last warning is not remembered']),
    ...toldProblems('the last warning', told(half, 'final')),
    ...(freshIs === 'running' && remembered.has(`${fresh} ${kind} warned`) && !remembered.has(`${fresh} ${kind} final`) ? [] : [`the container that was due for its first warning is ${freshIs}: ${[...remembered].join(', ')}`]),
    ...toldProblems('the first warning', told(fresh, 'warned')),
  ];
}
