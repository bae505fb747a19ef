import type { Config } from '../../config/types.ts';
import { isoTime } from '../../model/time.ts';
import type { PassReport } from '../../passes/report.ts';
import { observe } from '../../passes/pass.ts';
import { reportPass } from '../pass-command.ts';
import { renderDevices } from '../render/pass.ts';
import { printable } from '../../model/text.ts';
import { colours, renderAge } from '../render/text.ts';
import type { Command } from '../run.ts';

interface NextRun {
  readonly job: string;
  readonly at: number;
}

/** `gpuctl status`: who holds which device, and what happens next and when. */
export const statusCommand: Command = async (loaded, globals) => {
  const report = await reportPass({ job: 'status', story: async (pass) => { await observe(pass); }, acts: false, records: false, devices: [], asks: false }, loaded, globals);
  const now = Date.now();
  const next = await nextRuns(loaded.config, now);
  if (globals.json === true) process.stdout.write(`${JSON.stringify({ ...report, next: next.map(({ job, at }) => ({ job, at: isoTime(at) })) }, null, 2)}\n`);
  else process.stdout.write(renderStatus({ report, next, now }, (each) => renderDevices(each, colours(globals))));
  return report.exit;
};

/** The next run of each job by its schedule; whether cron or a timer is installed is another question. */
async function nextRuns({ schedule }: Config, now: number): Promise<readonly NextRun[]> {
  const { Cron } = await import('croner');
  return Object.entries(schedule)
    .flatMap(([job, pattern]) => {
      const at = new Cron(pattern, { paused: true }).nextRun(new Date(now));
      return at === null ? [] : [{ job, at: at.getTime() }];
    })
    .toSorted((a, b) => a.at - b.at);
}

function renderStatus({ report, next, now }: { report: PassReport; next: readonly NextRun[]; now: number }, devices: (report: PassReport) => string): string {
  const problems = report.findings.filter((finding) => finding.severity !== 'info').map((finding) => `  ${finding.id}: ${printable(finding.message, 300)}`);
  const schedule = next.map(({ job, at }) => `  in ${renderAge(at - now)}  ${job}`);
  return [devices(report), '', ...(problems.length === 0 ? [] : ['Findings', ...problems, '']), 'Next by the schedule', ...schedule, ''].join('\n');
}
