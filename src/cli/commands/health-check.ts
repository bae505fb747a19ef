import { healthCheck } from '../../passes/health-check.ts';
import { runPassCommand } from '../pass-command.ts';
import type { Command } from '../run.ts';

/** `gpuctl health-check`: a report; with `--repair` a pass that acts. */
export function healthCheckCommand({ device = [], repair = false }: { readonly device?: readonly string[]; readonly repair?: boolean }): Command {
  return (loaded, globals) => runPassCommand({ job: 'health-check', story: healthCheck, acts: repair, records: repair, devices: device, asks: true }, loaded, globals);
}
