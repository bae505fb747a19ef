import { fullIdsIn } from '../../model/container.ts';
import type { Shim } from '../../model/process.ts';
import { observed, type Gap, type Observed } from '../../model/observation.ts';
import { parseStatus } from './parse.ts';
import { readText } from './read.ts';

/** The kernel cuts `containerd-shim-runc-v2` to its first 15 bytes, which is where this ends. */
const SHIM = /^(?:containerd-shim|conmon)/;

/** Every live container shim among `pids`. A user's own process cannot pass for one: it has to be root's. */
export function observeShims(pids: readonly number[], root = '/proc'): Observed<readonly Shim[]> {
  const shims: Shim[] = [];
  const missing: Gap[] = [];
  for (const pid of pids) {
    const found = readShim(pid, root);
    if (found === null) continue;
    if ('why' in found) missing.push(found);
    else shims.push(found);
  }
  return observed(shims, missing);
}

/** Null: it is no shim, or it has ended. */
function readShim(pid: number, root: string): Shim | Gap | null {
  const command = readText(`${root}/${pid}/comm`);
  if (!command.ok) return command.gone ? null : gap(pid, command.why);
  if (!SHIM.test(command.value)) return null;
  const status = readText(`${root}/${pid}/status`);
  if (!status.ok) return status.gone ? null : gap(pid, status.why);
  if (parseStatus(status.value)?.uid !== 0) return null;
  const args = readText(`${root}/${pid}/cmdline`);
  if (!args.ok) return args.gone ? null : gap(pid, args.why);
  return { pid, containerIds: fullIdsIn(args.value) };
}

function gap(pid: number, why: string): Gap {
  return { subject: `pid ${pid}`, why: `could be a container shim: ${why}` };
}
