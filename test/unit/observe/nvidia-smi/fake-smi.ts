import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fixture, type Driver, type FixtureFile } from './captures.ts';

/** What to print and how to exit; `run` is a shell script to become instead. */
export interface Answer {
  readonly stdout?: string;
  readonly stderr?: string;
  readonly exit?: number;
  readonly run?: string;
}

export type Call = '-L' | '-q -x' | '--query-gpu' | '--query-compute-apps';

/** Answers to the first, second … time that something is asked; the last one holds for the rest. */
export type Answers = Readonly<Partial<Record<Call, readonly Answer[]>>>;

export interface FakeSmi {
  readonly path: string;
  /** What was asked, in order. */
  calls(): readonly string[];
  remove(): void;
}

const FILES: Readonly<Record<Call, FixtureFile>> = { '-L': 'list.txt', '-q -x': 'qx.xml', '--query-gpu': 'query-gpu.csv', '--query-compute-apps': 'compute-apps.csv' };

const SCRIPT = `#!/bin/sh
cd "$(dirname "$0")" || exit 99
printf '%s\\n' "$*" >>calls
case "$*" in
  -L | '-q -x') key=$(printf '%s' "$*" | tr -d ' ') ;;
  '--query-gpu=index,uuid,pci.bus_id --format=csv') key=--query-gpu ;;
  '--query-compute-apps=gpu_uuid,pid,used_memory --format=csv') key=--query-compute-apps ;;
  *) echo "unexpected: $*"; exit 2 ;;
esac
n=$(grep -cxFe "$*" calls)
while [ ! -e "./$key.$n" ]; do n=$((n - 1)); done
exec sh "./$key.$n"
`;

/** A program in a folder of its own that answers as the fixture host of a driver does, except where `answers` says otherwise. */
export function fakeSmi(driver: Driver, answers: Answers = {}): FakeSmi {
  const folder = mkdtempSync(join(tmpdir(), 'fake-nvidia-smi-'));
  const path = join(folder, 'nvidia-smi');
  writeFileSync(path, SCRIPT);
  chmodSync(path, 0o755);
  for (const call of Object.keys(FILES) as Call[]) {
    const given = answers[call] ?? [{ stdout: fixture(driver, FILES[call]) }];
    given.forEach((answer, at) => { writeAnswer(join(folder, `${call.replaceAll(' ', '')}.${at + 1}`), answer); });
  }
  return {
    path,
    calls: () => (existsSync(join(folder, 'calls')) ? readFileSync(join(folder, 'calls'), 'utf8').split('\n').filter((line) => line !== '') : []),
    remove: () => { rmSync(folder, { recursive: true, force: true }); },
  };
}

function writeAnswer(file: string, { stdout = '', stderr = '', exit = 0, run }: Answer): void {
  writeFileSync(`${file}.out`, stdout);
  writeFileSync(`${file}.err`, stderr);
  writeFileSync(file, run ?? `cat "$0.out"\ncat "$0.err" >&2\nexit ${exit}\n`);
}
