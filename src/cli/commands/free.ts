import { ExitCode, GpuctlError } from '../../model/errors.ts';
import { healthCheck } from '../../passes/health-check.ts';
import type { DeviceReport, PassReport } from '../../passes/report.ts';
import { reportPass } from '../pass-command.ts';
import type { Command } from '../run.ts';

/**
 * `gpuctl free`: devices without a claim, without a process, and clean, one UUID a line. What is not known to be free is
 * not printed. With `--count n` exactly n, or none and exit 1.
 */
export function freeCommand({ count, mig }: { readonly count?: string; readonly mig?: string }): Command {
  return async (loaded, globals) => {
    const wanted = count === undefined ? null : parseCount(count);
    const report = await reportPass({ job: 'status', story: healthCheck, acts: false, records: false, devices: [], asks: false }, loaded, globals);
    if (report.observed.nvidia_smi === 'failed' || report.observed.engine === 'failed') throw notKnown(report);
    const free = report.devices.flatMap((device) => (mig === undefined ? freeGpu(device) : freeMigs(device, mig)));
    const enough = wanted === null || free.length >= wanted;
    const shown = enough ? free.slice(0, wanted ?? free.length) : [];
    process.stdout.write(globals.json === true ? `${JSON.stringify(shown)}\n` : shown.map((uuid) => `${uuid}\n`).join(''));
    return enough ? ExitCode.ok : ExitCode.findings;
  };
}

function parseCount(text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new GpuctlError(`--count ${JSON.stringify(text)}: expected a whole number from 1`, { code: 'usage', exitCode: ExitCode.usage });
}

function notKnown({ findings }: PassReport): GpuctlError {
  const why = findings.filter((finding) => finding.id.endsWith('.failed')).map((finding) => finding.message).join('; ');
  return new GpuctlError(`what is free is not known: ${why}`, { code: 'not-observed', exitCode: ExitCode.notObserved });
}

function freeGpu(device: DeviceReport): readonly string[] {
  const held = device.claims.some((claim) => !claim.released) || device.processes === null || device.processes.length > 0;
  return held || device.mig !== null || device.verdict !== 'clean' ? [] : [device.uuid];
}

/** A MIG device is held by a claim on it, or on the whole GPU. A process on the parent that cannot be told apart holds all of them. */
function freeMigs(device: DeviceReport, profile: string): readonly string[] {
  if (device.verdict !== 'clean' || device.processes === null) return [];
  const claims = device.claims.filter((claim) => !claim.released);
  const strangers = device.processes.some((process) => process.owner !== 'container');
  if (strangers || claims.some((claim) => claim.mig === null)) return [];
  return (device.mig ?? []).flatMap((each) => (each.uuid !== null && each.profile === profile && !claims.some((claim) => claim.mig === each.uuid) ? [each.uuid] : []));
}
