import { fullIdsIn } from '../../model/container.ts';
import type { Shim } from '../../model/process.ts';
import { observed, type Gap, type Observed } from '../../model/observation.ts';
import { containerIdsIn } from './container-ids.ts';
import { parseCgroups } from './parse.ts';
import { createQueue } from './queue.ts';
import { readHead, readText } from './read.ts';

/** The kernel cuts `containerd-shim-runc-v2` to its first 15 bytes, which is where this ends. */
const SHIM = /^(?:containerd-shim|conmon)/;

/** A shim's arguments are below one KiB and name one container; whoever calls himself a shim may have 2 MiB of them. */
const MAX_ARGS_BYTES = 64 * 1024;
const MAX_IDS = 16;
/** Arguments lie in the process's own memory as its environment does. */
const argumentLists = createQueue({ most: 1 });

/**
 * Real, effective and saved user id. A setuid program that a user starts under a shim's name has his real one, and any
 * arguments that he likes.
 */
const ALL_ROOT = /^Uid:\t0\t0\t0\t/m;

/** Every live container shim among `pids`. A user's own process cannot pass for one: it has to be root's. One that is in a container is told with it. */
export async function observeShims(pids: readonly number[], root = '/proc'): Promise<Observed<readonly Shim[]>> {
  const shims: Shim[] = [];
  const missing: Gap[] = [];
  const candidates = pids.map((pid) => callsItselfShim(pid, root)).filter((each) => each !== null);
  for (const found of await Promise.all(candidates.map((each) => (typeof each === 'number' ? readShim(each, root) : each)))) {
    if (found === null) continue;
    if ('why' in found) missing.push(found);
    else shims.push(found);
  }
  return observed(shims, missing);
}

/** Its pid; null: it is no shim, or it has ended. */
function callsItselfShim(pid: number, root: string): number | Gap | null {
  const command = readText(`${root}/${pid}/comm`);
  if (!command.ok) return command.gone ? null : gap(pid, command.why);
  if (!SHIM.test(command.value)) return null;
  const status = readText(`${root}/${pid}/status`);
  if (!status.ok) return status.gone ? null : gap(pid, status.why);
  return ALL_ROOT.test(status.value) ? pid : null;
}

/** Null: it has ended. */
async function readShim(pid: number, root: string): Promise<Shim | Gap | null> {
  const path = `${root}/${pid}/cmdline`;
  const args = await argumentLists.ask<Buffer>(path, (done) => { readHead(path, MAX_ARGS_BYTES, done); });
  if (!args.ok) return args.gone ? null : gap(pid, args.why);
  const cgroup = readText(`${root}/${pid}/cgroup`);
  const inContainers = containerIdsIn((cgroup.ok ? parseCgroups(cgroup.value) : null) ?? []);
  return { pid, containerIds: fullIdsIn(args.value.toString('latin1')).slice(0, MAX_IDS), ...(inContainers.length > 0 && { inContainers }) };
}

function gap(pid: number, why: string): Gap {
  return { kind: 'shim', subject: `pid ${pid}`, why: `could be a container shim: ${why}` };
}
