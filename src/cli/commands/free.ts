import { ExitCode, GpuctlError } from '../../model/errors.ts';
import type { LoadedConfig } from '../../config/types.ts';
import { freeGpus, type FreeMig, freeMigs } from '../../passes/free.ts';
import { healthCheck } from '../../passes/health-check.ts';
import type { PassReport } from '../../passes/report.ts';
import { openLedger } from '../../record/ledger/open.ts';
import { ageOf, readPublicExport, TOO_OLD_MS } from '../exported.ts';
import type { Globals } from '../globals.ts';
import { ledgerFile } from '../ledger-file.ts';
import { reportPass } from '../pass-command.ts';
import { renderAge } from '../render/text.ts';
import type { Command } from '../run.ts';

interface Free {
  readonly gpus: readonly string[];
  readonly migs: readonly FreeMig[];
}

/**
 * `gpuctl free`: devices without a claim, without a process, and clean, one UUID a line. What is not known to be free is
 * not printed. With `--count n` exactly n, or none and exit 1. A user who may not ask the engine gets what the last pass
 * exported, and its age on stderr.
 */
export function freeCommand({ count, mig }: { readonly count?: string; readonly mig?: string }): Command {
  return async (loaded, globals) => {
    const wanted = count === undefined ? null : parseCount(count);
    const report = await reportPass({ job: 'status', story: healthCheck, acts: false, records: false, devices: [], asks: false }, loaded, globals);
    const now = mayKnowQuarantine(loaded) ? freeNow(report) : null;
    const { gpus, migs } = now ?? freeLately(report, loaded.config.state.dir, globals);
    const free = mig === undefined ? gpus : migs.filter((each) => each.profile === mig).map((each) => each.uuid);
    const enough = wanted === null || free.length >= wanted;
    const shown = enough ? free.slice(0, wanted ?? free.length) : [];
    process.stdout.write(globals.json === true ? `${JSON.stringify(shown)}\n` : shown.map((uuid) => `${uuid}\n`).join(''));
    return enough ? ExitCode.ok : ExitCode.findings;
  };
}

/** Somebody who may ask the engine but not read the ledger does not see which boards are in quarantine; the last pass did. */
function mayKnowQuarantine({ config }: LoadedConfig): boolean {
  const ledger = openLedger({ file: ledgerFile(config), now: Date.now, mode: 'read' });
  ledger.close();
  return ledger.unreadable === null;
}

function parseCount(text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new GpuctlError(`--count ${JSON.stringify(text)}: expected a whole number from 1`, { code: 'usage', exitCode: ExitCode.usage });
}

/** Null: it is not known. */
function freeNow({ observed, devices }: PassReport): Free | null {
  return observed.nvidia_smi === 'failed' || observed.engine === 'failed' ? null : { gpus: freeGpus(devices), migs: freeMigs(devices) };
}

/** For a user without the right to look himself. Root sees as much as the pass did: what failed for him has really failed. */
function freeLately(report: PassReport, stateDir: string, { quiet }: Globals): Free {
  const exported = process.geteuid?.() === 0 ? null : readPublicExport(stateDir);
  if (exported === null || exported.free === null) throw notKnown(report, null);
  const ageMs = ageOf(exported, Date.now());
  if (ageMs > TOO_OLD_MS) throw notKnown(report, `the last pass was ${renderAge(ageMs)} ago`);
  if (quiet !== true) process.stderr.write(`gpuctl: as the last pass saw it, ${renderAge(ageMs)} ago\n`);
  return { gpus: exported.free, migs: exported.free_mig ?? [] };
}

function notKnown({ findings }: PassReport, besides: string | null): GpuctlError {
  const failed = findings.filter((finding) => finding.id.endsWith('.failed')).map((finding) => finding.message);
  return new GpuctlError(`what is free is not known: ${[...failed, ...(besides === null ? [] : [besides])].join('; ')}`, { code: 'not-observed', exitCode: ExitCode.notObserved });
}
