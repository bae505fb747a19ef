import { statSync } from 'node:fs';
import { hostname } from 'node:os';
import { openEngine } from '../../callout/engine.ts';
import type { LoadedConfig } from '../../config/types.ts';
import { renderMistake } from '../../config/mistake.ts';
import { type Check, type CheckVerdict, decideHealthOfHost, type DoctorFacts, type EngineSeen } from '../../decide/doctor.ts';
import { distrustEngine } from '../../decide/engine.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';
import { emptyHistory, type History } from '../../model/history.ts';
import type { LedgerState } from '../../model/host-facts.ts';
import { complete, failed, type Observed } from '../../model/observation.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import { printable } from '../../model/text.ts';
import { observeEngine } from '../../observe/docker/index.ts';
import { observeCgroups, observeLock, observePlace, observeRotation } from '../../observe/doctor/index.ts';
import { openLedger } from '../../record/ledger/open.ts';
import { judgeInstalled } from '../../schedule/judge.ts';
import { wantedOn } from '../../schedule/plan.ts';
import { engineHost, observerOf, systemClock } from '../compose.ts';
import type { Globals } from '../globals.ts';
import { ledgerFile } from '../ledger-file.ts';
import { colours, renderJson } from '../render/text.ts';
import type { Command } from '../run.ts';
import { lookAtHost } from './schedule.ts';

/** `gpuctl doctor`: can it work here? Nothing is changed, not even the lock is taken. Exit 1: warnings; 3: it cannot. */
export const doctorCommand: Command = async (loaded, globals) => {
  const checks = decideHealthOfHost(await observeFacts(loaded));
  const exit = checks.some((check) => check.verdict === 'failure') ? ExitCode.notObserved : checks.some((check) => check.verdict === 'warning') ? ExitCode.findings : ExitCode.ok;
  if (globals.json === true) process.stdout.write(renderJson({ schema: 1, host: hostname(), exit, checks }));
  else if (globals.quiet !== true) process.stdout.write(renderChecks(checks, globals));
  return exit;
};

async function observeFacts(loaded: LoadedConfig): Promise<DoctorFacts> {
  const { config } = loaded;
  const installed = lookAtHost();
  const { state: ledger, history } = readLedger(ledgerFile(config));
  const engine = await identify(loaded);
  const snapshot = engine === null ? null : await observerOf(config).observe();
  const alone = snapshot ?? await observerOf({ ...config, engine: { ...config.engine, host: NO_ENGINE } }).observe();
  return {
    now: systemClock.now(),
    isRoot: process.geteuid?.() === 0,
    driver: alone.driver, processes: alone.processes,
    engineHost: engineHost(config),
    engine: engine ?? failed('refused', 'it is not a local socket'),
    engineDoubt: snapshot === null ? null : doubtAbout(snapshot, history),
    cgroups: observeCgroups(),
    lock: observeLock(),
    ledgerFile: ledgerFile(config), ledger,
    eventsFile: config.events.file, events: observePlace(config.events.file),
    rotated: observeRotation(config.events.file),
    schedule: judgeInstalled(installed, wantedOn(installed, config)),
    configWarnings: loaded.warnings.map(renderMistake),
    configSources: loaded.sources,
  };
}

/** A local socket where nobody listens: the rest of the host is looked at all the same. */
const NO_ENGINE = 'unix:///nonexistent';

/** Null: the address is not one that gpuctl may use. */
async function identify({ config }: LoadedConfig): Promise<Observed<EngineSeen> | null> {
  const client = localEngine(config);
  if (client === null) return null;
  const [facts, version] = [await observeEngine(client), await client.version()];
  if (!facts.ok) return failed(facts.code, facts.why);
  return version.ok ? complete({ ...facts.value, api: version.value.api }) : failed(version.code, version.why);
}

function localEngine(config: LoadedConfig['config']): ReturnType<typeof openEngine> | null {
  try {
    return openEngine({ host: engineHost(config), timeoutMs: config.engine.timeoutMs });
  } catch (error) {
    if (error instanceof GpuctlError) return null;
    throw error;
  }
}

function doubtAbout(snapshot: Snapshot, history: History): string | null {
  if (snapshot.engine.state === 'failed') return null;
  const { engine } = distrustEngine(snapshot, history);
  return engine.state === 'failed' ? engine.why : null;
}

function readLedger(file: string): { readonly state: LedgerState; readonly history: History } {
  try {
    const ledger = openLedger({ file, now: systemClock.now, mode: 'read' });
    try {
      if (ledger.unreadable !== null) return { state: { state: 'unreadable', why: ledger.unreadable }, history: emptyHistory };
      const size = statSync(file, { throwIfNoEntry: false })?.size;
      const history = ledger.history();
      return { history, state: size === undefined ? { state: 'none' } : { state: 'sound', sizeBytes: size, engineId: history.engineId, engineKind: history.engineKind ?? null, newestAt: newestIn(history) } };
    } finally {
      ledger.close();
    }
  } catch (error) {
    if (!(error instanceof GpuctlError)) throw error;
    return { state: { state: 'unreadable', why: error.message }, history: emptyHistory };
  }
}

function newestIn({ firstPassAt, allocations, resets, resetWants }: History): number | null {
  const instants = [...allocations.flatMap((each) => [each.observedAt, each.releasedAt ?? 0]), ...resets.map(({ at }) => at), ...resetWants.map(({ since }) => since), firstPassAt ?? 0];
  const newest = Math.max(...instants);
  return newest > 0 ? newest : null;
}

function renderChecks(checks: readonly Check[], globals: Globals): string {
  const paint = colours(globals);
  const marks: Readonly<Record<CheckVerdict, string>> = { ok: paint.green('ok     '), warning: paint.yellow('warning'), failure: paint.red('failure') };
  const width = Math.max(...checks.map(({ id }) => id.length));
  const lines = checks.map(({ id, verdict, message, remedy }) => `${marks[verdict]}  ${id.padEnd(width)}  ${printable(message, 400)}\n${remedy === null ? '' : `${' '.repeat(11 + width)}${paint.dim(`→ ${printable(remedy, 300)}`)}\n`}`);
  const count = (verdict: CheckVerdict): number => checks.filter((check) => check.verdict === verdict).length;
  const [failures, warnings] = [count('failure'), count('warning')];
  const sum = failures > 0 ? paint.red('gpuctl cannot do its work on this host') : warnings > 0 ? paint.yellow('gpuctl can work on this host') : paint.green('gpuctl can work on this host');
  return `${lines.join('')}\n${sum}: ${failures} failure${failures === 1 ? '' : 's'}, ${warnings} warning${warnings === 1 ? '' : 's'}\n`;
}
