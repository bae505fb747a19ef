import { ExitCode } from '../../model/errors.ts';
import { isoTime } from '../../model/time.ts';
import type { PassReport } from '../../passes/report.ts';
import { observe } from '../../passes/pass.ts';
import type { Run } from '../../schedule/slots.ts';
import { ageOf, readPublicExport, type PublicExport } from '../exported.ts';
import type { Globals } from '../globals.ts';
import { reportPass } from '../pass-command.ts';
import { renderDevices, renderUnseen, titleOf } from '../render/pass.ts';
import { printable } from '../../model/text.ts';
import { colours, renderAge, renderJson, renderTable } from '../render/text.ts';
import type { Command } from '../run.ts';

/** `gpuctl status`: who holds which device, and what happens next and when. */
export const statusCommand: Command = async (loaded, globals) => {
  const report = await reportPass({ job: 'status', story: async (pass) => { await observe(pass); }, acts: false, records: false, devices: [], asks: false }, loaded, globals);
  const now = Date.now();
  const { nextRuns, slotsOf } = await import('../../schedule/slots.ts');
  const next = nextRuns(slotsOf(loaded.config.schedule), now);
  const withNext = (document: object): string => renderJson({ ...document, next: next.map(({ job, at }) => ({ job, at: isoTime(at) })) });
  const exported = exportedInstead(report, loaded.config.state.dir);
  if (exported !== null) {
    process.stdout.write(globals.json === true ? withNext(exported) : renderExported(exported, { next, now, globals }));
    return ExitCode.ok;
  }
  if (globals.json === true) process.stdout.write(withNext(report));
  else process.stdout.write(renderStatus({ report, next, now, unstarted: (await import('./schedule.ts')).isStartedByNothing() }, (each) => renderDevices(each, colours(globals)), renderUnseen(report, colours(globals))));
  return report.exit;
};

/** What the last pass left for everybody, where this user may not look himself; null: he may, or there is none. */
function exportedInstead({ observed }: PassReport, stateDir: string): PublicExport | null {
  const blind = observed.nvidia_smi === 'failed' || observed.engine === 'failed';
  return blind && process.geteuid?.() !== 0 ? readPublicExport(stateDir) : null;
}

/** A board that is dirty, faulty or divided is not free, though nobody may be on it. */
function useText({ free, held_by: holders, processes }: PublicExport['devices'][number]): string {
  if (free === null) return 'unknown';
  return free ? 'free' : holders > 0 || (processes ?? 0) > 0 ? 'held' : 'not free';
}

function renderExported(exported: PublicExport, { next, now, globals }: { next: readonly Run[]; now: number; globals: Globals }): string {
  const rows = exported.devices.map((device) => [
    String(device.index ?? '?'), printable(device.verdict, 20), device.used_mib === null || device.total_mib === null ? '?' : `${device.used_mib}/${device.total_mib} MiB`,
    device.utilization_percent === null ? '-' : `${device.utilization_percent} %`, useText(device), printable(device.uuid, 60),
  ]);
  const paint = colours(globals);
  const table = renderTable([['GPU', 'STATE', 'MEMORY', 'USE', '', 'UUID'], ...rows], (cell, row) => (row === 0 ? paint.dim(cell) : cell));
  return [`As the last pass on ${printable(exported.host)} saw it, ${renderAge(ageOf(exported, now))} ago (this user may not look himself):`, table, '', 'Next by the schedule', ...renderNext(next, now), ''].join('\n');
}

function renderStatus({ report, next, now, unstarted }: { report: PassReport; next: readonly Run[]; now: number; unstarted: boolean }, devices: (report: PassReport) => string, unseen: string): string {
  const problems = report.findings.filter((finding) => finding.severity !== 'info').map((finding) => `  ${titleOf(finding, report.devices)}: ${printable(finding.message, 300)}`);
  const schedule = [...renderNext(next, now), ...(unstarted ? ['  but nothing on this host starts them: gpuctl schedule install'] : [])];
  return [devices(report), '', ...(problems.length === 0 ? [] : ['Findings', ...problems, '']), ...(unseen === '' ? [] : [unseen, '']), 'Next by the schedule', ...schedule, ''].join('\n');
}

function renderNext(next: readonly Run[], now: number): readonly string[] {
  return renderTable(next.map(({ job, at }) => [`  in ${renderAge(at - now)}`, job])).split('\n');
}
