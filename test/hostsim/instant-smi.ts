import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderCall } from './fake-smi.ts';

const BUSYBOX = '/bin/busybox';
const FORMATS = ['csv', 'csv,noheader', 'csv,nounits', 'csv,noheader,nounits'];

/** The calls that are answered unless a benchmark names its own. */
const INSTANT_CALLS: readonly (readonly string[])[] = [
  ['-q', '-x'],
  ['-L'],
  ['pmon', '-c', '1'],
  ...FORMATS.flatMap((format) => [
    ['--query-gpu=index,uuid,pci.bus_id', `--format=${format}`],
    ['--query-compute-apps=gpu_uuid,pid,used_memory', `--format=${format}`],
    ['--query-compute-apps=gpu_uuid,pid', `--format=${format}`],
  ]),
];

/** Writes an nvidia-smi that only prints what was rendered now: a few milliseconds a call, whatever the world does later. */
export function writeInstantSmi(hostDir: string, worldPath: string, calls = INSTANT_CALLS): void {
  const answers = join(hostDir, 'answers');
  mkdirSync(answers, { recursive: true });
  const cases = calls.map((args, n) => {
    writeFileSync(join(answers, String(n)), renderCall(worldPath, args).text);
    return `'${args.join(' ')}') exec cat '${join(answers, String(n))}' ;;`;
  });
  const script = [
    // Its cat is part of it: half the time of a shell that looks for one.
    existsSync(BUSYBOX) ? `#!${BUSYBOX} sh` : '#!/bin/sh',
    `echo "{\\"args\\":[\\"$*\\"],\\"pid\\":$$}" >>'${join(hostDir, 'calls.jsonl')}'`,
    'case "$*" in',
    ...cases,
    `*) echo "ERROR: Option $1 is not recognized. Please run 'nvidia-smi -h'."; exit 255 ;;`,
    'esac',
  ];
  const path = join(hostDir, 'bin', 'nvidia-smi');
  writeFileSync(path, `${script.join('\n')}\n`);
  chmodSync(path, 0o755);
}
