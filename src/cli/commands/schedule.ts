import type { LoadedConfig } from '../../config/types.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';
import type { Finding } from '../../model/finding.ts';
import type { InstalledSchedule } from '../../model/schedule.ts';
import { isoTime } from '../../model/time.ts';
import { observeInstalled } from '../../observe/schedule/installed.ts';
import { activeOf, judgeInstalled, startedByHand } from '../../schedule/judge.ts';
import { OWN_PATHS, PACKAGED_PATHS } from '../../schedule/own-files.ts';
import { wantedOn } from '../../schedule/plan.ts';
import { isTolerable, renderCollision } from '../../schedule/render-collision.ts';
import { cronOf, nextRuns, type Run, slotsOf } from '../../schedule/slots.ts';
import { offsetsIn, renderLocal } from '../../schedule/zone.ts';
import { checkCollisions, refuseCollisions } from '../collisions.ts';
import { colours, renderAge, renderJson, renderTable } from '../render/text.ts';
import type { Command } from '../run.ts';

/** The root of the host's files, for all of `gpuctl schedule`. */
export const HOST_ROOT = '/';

/** `gpuctl schedule show`: the slots, where each comes from, and what starts them. */
export const scheduleShowCommand: Command = async ({ config, originOf }, globals) => {
  const now = Date.now();
  const next = new Map(nextRuns(slotsOf(config.schedule), now).map(({ job, at }) => [job, at]));
  const installed = lookAtHost();
  const rows = slotsOf(config.schedule).map(({ job, pattern }) => ({ job, pattern, origin: originOf(`schedule.${job}`), next: next.get(job) ?? null }));
  if (globals.json === true) {
    print({ schema: 1, slots: rows.map((row) => ({ ...row, next: row.next === null ? null : isoTime(row.next) })), active: activeOf(installed) });
    return ExitCode.ok;
  }
  const paint = colours(globals);
  const cells = rows.map(({ job, pattern, origin, next: at }) => [job, pattern, at === null ? 'never' : `in ${renderAge(at - now)}`, origin === null ? 'default' : `${origin.file}:${origin.line}`]);
  process.stdout.write(`${renderTable([['JOB', 'SCHEDULE', 'NEXT', 'FROM'], ...cells], (cell, row) => (row === 0 ? paint.dim(cell) : cell))}\n\nStarted by: ${renderActive(installed)}\n`);
  return ExitCode.ok;
};

/** `gpuctl schedule check`: the proof that no two passes collide, and what is really installed. Exit 1: findings; 2: they collide. */
export const scheduleCheckCommand: Command = async (loaded, globals) => {
  const now = Date.now();
  const { collisions, likelyMs, measured, unreadable } = globals.json === true ? checkCollisions(loaded, now) : refuseCollisions(loaded, globals, now);
  const installed = lookAtHost();
  const findings = judgeInstalled(installed, wantedOn(installed, loaded.config));
  if (globals.json === true) {
    print({
      schema: 1, collisions: collisions.map((each) => ({ kind: each.kind, jobs: [each.first, each.second], first_at: renderLocal(each.localMs), message: renderCollision(each) })),
      likely_ms: Object.fromEntries(likelyMs), measured: [...measured], durations_unreadable: unreadable, active: activeOf(installed), findings,
    });
    if (collisions.some((each) => !isTolerable(each))) return ExitCode.usage;
  } else if (globals.quiet !== true) {
    process.stdout.write('No two passes collide on any day of the calendar, changes of the clock included.\n');
    const durations = [...likelyMs].filter(([job]) => job !== 'sample').map(([job, ms]) => `  ${job}: ${renderAge(ms)}${measured.has(job) ? ', measured' : ', the deadline: nothing is measured yet'}`);
    process.stdout.write(`A pass is likely to run no longer than\n${durations.join('\n')}\n`);
    if (unreadable !== null) process.stderr.write(`gpuctl: warning: the ledger cannot be read, so the deadline counts: ${unreadable}\n`);
    for (const each of collisions) process.stdout.write(`${renderCollision(each)}\n`);
    process.stdout.write(renderFindings(findings, installed));
  }
  return collisions.length > 0 || findings.some((each) => each.severity !== 'info') ? ExitCode.findings : ExitCode.ok;
};

/** `gpuctl schedule next`: the next runs of all jobs, soonest first. */
export function scheduleNextCommand({ count = '10' }: { readonly count?: string }): Command {
  return async ({ config }, globals) => {
    if (!/^[1-9]\d{0,3}$/.test(count)) throw new GpuctlError(`--count ${JSON.stringify(count)}: expected a whole number from 1 to 9999`, { code: 'usage', exitCode: ExitCode.usage });
    const runs = upcoming(config, Number(count));
    const offsetOf = offsetsIn();
    if (globals.json === true) print(runs.map(({ job, at }) => ({ job, at: isoTime(at) })));
    else process.stdout.write(runs.map(({ job, at }) => `${renderLocal(at + offsetOf(at))}  ${job}\n`).join(''));
    return ExitCode.ok;
  };
}

function upcoming({ schedule }: LoadedConfig['config'], count: number): readonly Run[] {
  const now = new Date();
  const runs = slotsOf(schedule).flatMap(({ job, pattern }) => cronOf(pattern).nextRuns(count, now).map((at) => ({ job, at: at.getTime() })));
  return runs.toSorted((a, b) => a.at - b.at).slice(0, count);
}

/** Is it certain that nothing on this host starts the jobs? A plain user does not see every crontab. */
export function isStartedByNothing(): boolean {
  const installed = lookAtHost();
  const { cron, timers, daemon } = activeOf(installed);
  return process.geteuid?.() === 0 && !cron && !timers && !daemon && startedByHand(installed).size === 0;
}

/** What cron and systemd have on this host. */
export function lookAtHost(): InstalledSchedule {
  return observeInstalled({ root: HOST_ROOT, ownPaths: [...OWN_PATHS, ...PACKAGED_PATHS] });
}

function renderActive(installed: InstalledSchedule): string {
  const { cron, timers, daemon } = activeOf(installed);
  const names = [...(cron ? ['cron'] : []), ...(timers ? ['systemd timers'] : []), ...(daemon ? ['gpuctl-daemon.service'] : [])];
  if (names.length > 0) return names.join(' and ');
  return startedByHand(installed).size > 0 ? 'what gpuctl did not install (gpuctl schedule check)' : 'nothing (gpuctl schedule install)';
}

function renderFindings(findings: readonly Finding[], installed: InstalledSchedule): string {
  const lines = findings.map(({ id, message, remedy }) => `  ${id}: ${message}\n    ${remedy}`);
  return [`Started by: ${renderActive(installed)}`, ...lines, ''].join('\n');
}

function print(value: unknown): void {
  process.stdout.write(renderJson(value));
}
