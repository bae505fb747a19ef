import type { ChalkInstance } from 'chalk';
import type { Assessment } from '../../decide/assess.ts';
import { ExitCode } from '../../model/errors.ts';
import { seen } from '../../model/observation.ts';
import { isoTime } from '../../model/time.ts';
import type { PassReport } from '../../passes/report.ts';
import { type ContainerOutlook, describing, outlookParts } from '../../passes/container-outlook.ts';
import { observe, type Pass } from '../../passes/pass.ts';
import type { Run } from '../../schedule/slots.ts';
import { ageOf, readPublicExport, type PublicExport } from '../exported.ts';
import type { Globals } from '../globals.ts';
import { reportPass } from '../pass-command.ts';
import { renderContainers } from '../render/containers.ts';
import { renderDevices, renderUnseen, titleOf } from '../render/pass.ts';
import { printable } from '../../model/text.ts';
import { colours, renderAge, renderJson, renderTable } from '../render/text.ts';
import type { Command } from '../run.ts';

/** `gpuctl status`: who holds which device, how far the clocks of these containers are, and what happens next and when. */
export const statusCommand: Command = async (loaded, globals) => {
  let holders: readonly ContainerOutlook[] | null = null;
  const story = async (pass: Pass): Promise<void> => { holders = await holdersOf(pass, await observe(pass)); };
  const report = await reportPass({ job: 'status', story, acts: false, records: false, devices: [], asks: false }, loaded, globals);
  const now = Date.now();
  const { nextRuns, slotsOf } = await import('../../schedule/slots.ts');
  const next = nextRuns(slotsOf(loaded.config.schedule), now);
  const withNext = (document: object): string => renderJson({ ...document, next: next.map(({ job, at }) => ({ job, at: isoTime(at) })) });
  const exported = exportedInstead(report, loaded.config.state.dir);
  if (exported !== null) {
    process.stdout.write(globals.json === true ? withNext(exported) : renderExported(exported, { next, now, globals }));
    return ExitCode.ok;
  }
  if (globals.json === true) process.stdout.write(withNext({ ...report, containers: holders }));
  else process.stdout.write(renderStatus({ report, holders: holders ?? [], next, now, unstarted: (await import('./schedule.ts')).isStartedByNothing() }, colours(globals)));
  return report.exit;
};

/** Those that hold a device now, running or not; null: it is not known which containers there are. */
async function holdersOf({ parts }: Pass, latest: Assessment): Promise<readonly ContainerOutlook[] | null> {
  const [engine, outlook] = [seen(latest.snapshot.engine), outlookParts(parts)];
  if (engine === null || outlook === null) return null;
  const holding = new Set(latest.claims.claims.filter(({ released }) => !released).map(({ containerId }) => containerId));
  return Promise.all(engine.containers.filter((each) => each.inspected).filter(({ id }) => holding.has(id)).map(describing(latest, outlook, parts.clock.now())));
}

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

interface Shown {
  readonly report: PassReport;
  readonly holders: readonly ContainerOutlook[];
  readonly next: readonly Run[];
  readonly now: number;
  /** It is certain that nothing starts the jobs. */
  readonly unstarted: boolean;
}

function renderStatus({ report, holders, next, now, unstarted }: Shown, paint: ChalkInstance): string {
  const problems = report.findings.filter((finding) => finding.severity !== 'info').map((finding) => `  ${titleOf(finding, report.devices)}: ${printable(finding.message, 300)}`);
  const schedule = [...renderNext(next, now), ...(unstarted ? ['  but nothing on this host starts them: gpuctl schedule install'] : [])];
  const blocks = [
    renderDevices(report, paint),
    holders.length === 0 ? '' : renderContainers(holders, now, paint),
    problems.length === 0 ? '' : ['Findings', ...problems].join('\n'),
    renderUnseen(report, paint),
    ['Next by the schedule', ...schedule].join('\n'),
  ];
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
}

function renderNext(next: readonly Run[], now: number): readonly string[] {
  return renderTable(next.map(({ job, at }) => [`  in ${renderAge(at - now)}`, job])).split('\n');
}
