import { readdirSync, readFileSync } from 'node:fs';

/** Arguments of a process, NUL between them; empty: it is gone, or has none. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** Pids of all processes whose arguments contain this text. */
export function pidsNaming(text: string): readonly number[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => commandLine(pid).includes(text));
}

/** Pids of the container shims that name this container id. */
export function shimsOf(containerId: string): readonly number[] {
  return pidsNaming(containerId).filter((pid) => /^[^\0]*containerd-shim/.test(commandLine(pid)));
}
