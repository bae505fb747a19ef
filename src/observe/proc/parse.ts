/** The few fields of /proc/PID/stat that gpuctl reads. */
export interface Stat {
  readonly command: string;
  /** One letter. `Z` and `X`: the whole process is dead; one whose first thread alone has ended sleeps. */
  readonly runState: string;
  readonly parentPid: number;
  readonly startTicks: number;
}

/**
 * One /proc/PID/stat. The name stands in parentheses and may itself hold parentheses, blanks and newlines, so everything
 * is counted from the last `)`. Null: not of that form. Source: proc_pid_stat(5), fields 2, 3, 4, 20 and 22.
 */
export function parseStat(text: string): Stat | null {
  const [open, close] = [text.indexOf('('), text.lastIndexOf(')')];
  if (open < 0 || close < open) return null;
  const fields = text.slice(close + 2).trimEnd().split(' ');
  const [letter = '', parentPid = Number.NaN, startTicks = Number.NaN] = [fields[0], toNumber(fields[1]), toNumber(fields[19])];
  if (!/^[A-Za-z]$/.test(letter) || Number.isNaN(parentPid) || Number.isNaN(startTicks)) return null;
  // The letter is the first thread's: anybody can end that one, compute on in the others and look dead. The dead have no other thread.
  const livesOn = (letter === 'Z' || letter === 'X') && toNumber(fields[17]) > 1;
  return { command: text.slice(open + 1, close), runState: livesOn ? 'S' : letter, parentPid, startTicks };
}

function toNumber(text: string | undefined): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}

/** What /proc/PID/status adds. */
export interface Status {
  /** Effective uid. */
  readonly uid: number;
  /** The pid of the process that this thread belongs to. */
  readonly processId: number;
}

/** One /proc/PID/status, where the kernel escapes newlines in the name. Null: not of that form. */
export function parseStatus(text: string): Status | null {
  const uid = /^Uid:\t\d+\t(\d+)\t/m.exec(text)?.[1];
  const processId = /^Tgid:\t(\d+)$/m.exec(text)?.[1];
  return uid === undefined || processId === undefined ? null : { uid: Number(uid), processId: Number(processId) };
}

/** The path of every hierarchy of /proc/PID/cgroup, v1, v2 or both, as it stands there, each once. Null: there is none. */
export function parseCgroups(text: string): readonly string[] | null {
  const paths = text.split('\n').flatMap((line) => /^\d+:[^:]*:(\/.*)$/.exec(line)?.[1] ?? []);
  return paths.length === 0 ? null : [...new Set(paths)];
}
