import { GPU_UUID, MIG_UUID } from '../../model/device.ts';
import { observed, type Observed } from '../../model/observation.ts';
import { classifyFailure, malformed, refusable, Refusal } from './failure.ts';
import { busIdIn, gapsOf, isHarmless, parseRemarks, type Remark } from './remarks.ts';
import { quote } from './text.ts';

/** A "MIG … Device n" line below its GPU. */
export interface ListedMigDevice {
  readonly index: number;
  readonly profile: string;
  readonly uuid: string;
}

export interface ListedGpu {
  readonly index: number;
  /** Null: an error text stands in its place. */
  readonly uuid: string | null;
  readonly migDevices: readonly ListedMigDevice[];
}

/** What `nvidia-smi -L` says. */
export interface SmiList {
  /** False: it did not exit with 0. What it printed before is right, but nothing may be joined with it. */
  readonly whole: boolean;
  readonly gpus: readonly ListedGpu[];
  readonly remarks: readonly Remark[];
}

const GPU_LINE = /^GPU (\d{1,4}): .*\(UUID: ([^()]*)\)\s*$/;
/** R470 and later pad and print a UUID; R460 names parent, GPU instance and compute instance. */
const MIG_LINE = /^\s+MIG\s+([0-9a-z.+-]{1,40})\s+Device\s+(\d{1,4}):\s+\(UUID:\s*(\S+)\)\s*$/;

/**
 * `nvidia-smi -L`. Partial where a line reports a GPU that could not be opened (with exit 0, or after the good lines and
 * with another exit code); failed where it reports anything else, is cut off, or names a device twice.
 */
export function parseList(stdout: string, exitCode: number): Observed<SmiList> {
  return refusable(() => {
    const failure = classifyFailure(exitCode, stdout, null);
    if (exitCode !== 0 && failure.code !== 'device-fault') throw new Refusal(failure);
    const list = readLines(stdout, exitCode);
    if (exitCode === 0 && list.gpus.length === 0) throw new Refusal(failure);
    const refused = list.gpus.filter(({ uuid }) => uuid === null).map(({ index }) => ({ subject: 'gpu', why: `-L gives no UUID for GPU ${index}` }));
    return observed(list, [...gapsOf(list.remarks), ...refused]);
  });
}

function readLines(stdout: string, exitCode: number): SmiList {
  const gpus: { index: number; uuid: string | null; migDevices: ListedMigDevice[] }[] = [];
  const others: string[] = [];
  const lines = stdout.split('\n');
  // Continuation lines of a fault end the output of a call that failed; they may lack the last line's end.
  if (exitCode === 0 && lines.pop() !== '') malformed(`-L is cut off: ${quote(lines.at(-1) ?? stdout)}`);
  for (const line of lines) {
    const gpu = GPU_LINE.exec(line);
    const mig = MIG_LINE.exec(line);
    if (gpu !== null) gpus.push({ index: Number(gpu[1]), uuid: uuidOr(null, gpu[2]), migDevices: [] });
    else if (mig === null) others.push(line);
    else (gpus.at(-1) ?? malformed('-L names a MIG device before any GPU')).migDevices.push(readMig(mig));
  }
  refuseTwins(gpus);
  return { whole: exitCode === 0, gpus, remarks: readRemarks(others) };
}

function uuidOr(otherwise: null, text: string | undefined): string | null {
  return text !== undefined && GPU_UUID.test(text) ? text : otherwise;
}

function readMig([line, profile = '', index, uuid = '']: RegExpExecArray): ListedMigDevice {
  if (!MIG_UUID.test(uuid)) malformed(`-L names no MIG UUID: ${quote(line)}`);
  return { index: Number(index), profile, uuid };
}

/** A first other line that speaks of no GPU is nothing that nvidia-smi says beside a list. */
function readRemarks(lines: readonly string[]): readonly Remark[] {
  const said = lines.filter((line) => line.trim() !== '');
  const [first] = said;
  if (first !== undefined && busIdIn(first) === null && !isHarmless(first)) throw new Refusal(classifyFailure(0, first, null));
  return parseRemarks(said);
}

function refuseTwins(gpus: readonly ListedGpu[]): void {
  for (const names of [gpus.map(({ index }) => index), gpus.flatMap(({ uuid }) => uuid ?? []), gpus.flatMap(({ migDevices }) => migDevices.map(({ uuid }) => uuid))]) {
    if (new Set<unknown>(names).size < names.length) malformed('-L names a device twice');
  }
  if (gpus.some(({ migDevices }) => new Set(migDevices.map(({ index }) => index)).size < migDevices.length)) malformed('-L numbers a MIG device twice');
}
