import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { CallKind, Fault } from '../hostsim/world.ts';
import type { FaultCase } from './run.ts';
import type { Stage } from './stage.ts';

const READING: readonly CallKind[] = ['xml', 'list', 'query-gpu', 'compute-apps'];

/** Every call of nvidia-smi, and the program itself. */
export function smiCases(): readonly FaultCase[] {
  const faults: readonly (readonly [string, Fault])[] = [
    ['hung', { kind: 'hang', style: 'plain' }],
    ['hung, ignores SIGTERM', { kind: 'hang', style: 'ignores-term' }],
    ['hung, leaves a child', { kind: 'hang', style: 'unreapable' }],
    ['half an answer', { kind: 'truncate', bytes: 60 }],
    ['most of an answer', { kind: 'truncate', bytes: 9000 }],
    ['nothing', { kind: 'print', text: '' }],
    ['garbage', { kind: 'print', text: '\u0000\u001b[2J%PDF <<<>>>' }],
    ['an error text with exit 0', { kind: 'print', text: 'Failed to initialize NVML: Unknown Error\n' }],
    ...([4, 9, 15, 255] as const).map((code) => [`exit ${code}`, { kind: 'exit', code }] as const),
  ];
  const quick = new Set(['xml half an answer', 'compute-apps hung', 'list nothing']);
  const reading = READING.flatMap((kind) => faults.map(([fault, what]): FaultCase => smiFault(`nvidia-smi ${kind}`, fault, { ...what, on: [kind] }, { quick: quick.has(`${kind} ${fault}`) })));
  const onReset = faults.map(([fault, what]): FaultCase => smiFault('nvidia-smi reset', fault, { ...what, on: ['reset'] }, { expected: { resetCounts: true }, quick: fault === 'half an answer' }));
  const refused = (['in-use', 'unavailable', 'not-supported', 'no-permission', 'lost', 'unknown', 'primary', 'nvlink'] as const).map((as): FaultCase => smiFault('nvidia-smi reset', `refused: ${as}`, { kind: 'refuse-reset', as }, { expected: { resetCounts: true, nextExits: [0, 1, 4] } }));
  const particular: readonly (readonly [string, (stage: Stage) => Fault])[] = [
    ['drops a GPU', ({ host }) => ({ kind: 'drop-gpu', gpu: host.gpu(0).uuid })],
    ['swallows the process lists', () => ({ kind: 'swallow-processes', error: '[Insufficient Permissions]' })],
    ['contradicts itself (XML)', () => ({ kind: 'disagree', hideFrom: 'xml' })],
    ['contradicts itself (list)', () => ({ kind: 'disagree', hideFrom: 'compute-apps' })],
    ['a GPU is lost', ({ host }) => ({ kind: 'sick-gpu', gpu: host.gpu(0).uuid, error: 'lost', style: 'property' })],
    ['a GPU has no handle', ({ host }) => ({ kind: 'sick-gpu', gpu: host.gpu(0).uuid, error: 'lost', style: 'handle' })],
  ];
  const some = particular.map(([fault, what]): FaultCase => ({
    callOut: 'nvidia-smi', fault, expected: { nextExits: [0, 1] },
    arrange: (stage) => { stage.host.fault(what(stage)); return { undo: () => { stage.host.clearFaults(); } }; },
  }));
  return [...reading, ...onReset, ...refused, ...some, ...programCases()];
}

function smiFault(callOut: string, fault: string, what: Fault, more: Pick<FaultCase, 'expected' | 'quick'> = {}): FaultCase {
  return { callOut, fault, ...more, arrange: (stage) => {
    const { host } = stage;
    host.fault(what);
    if (what.kind === 'hang') stage.configure({}, 'impatient');
    return { undo: () => { host.clearFaults(); endHung(host.dir); stage.configure({}); } };
  } };
}

/** What hung is let go, as when the driver answers again. */
function endHung(dir: string): void {
  const pids = execFileSync('sh', ['-c', 'grep -laF "$1/bin/" /proc/[0-9]*/cmdline 2>/dev/null || true', 'sh', dir], { encoding: 'utf8' }).split('\n').flatMap((line) => /\/proc\/(\d+)\//.exec(line)?.[1] ?? []);
  for (const pid of pids) if (Number(pid) !== process.pid) { try { process.kill(Number(pid), 'SIGKILL'); } catch { /* It has ended. */ } }
}

function programCases(): readonly FaultCase[] {
  const replaced = (fault: string, change: (path: string, real: string) => void, more: Pick<FaultCase, 'expected'> = {}): FaultCase => ({
    callOut: 'nvidia-smi, the program', fault, ...more,
    arrange: ({ host: { smiPath } }) => {
      const real = `${smiPath}.real`;
      renameSync(smiPath, real);
      change(smiPath, real);
      return { undo: () => { rmSync(smiPath, { recursive: true, force: true }); renameSync(real, smiPath); } };
    },
  });
  const script = (path: string, text: string): void => { writeFileSync(path, `#!/bin/sh\n${text}\n`); chmodSync(path, 0o755); };
  return [
    replaced('absent', () => undefined),
    replaced('not executable', (path, real) => { copyFileSync(real, path); chmodSync(path, 0o644); }),
    replaced('a folder', (path) => { mkdirSync(path); }),
    replaced('no program', (path) => { writeFileSync(path, '\u007fELFgarbage'); chmodSync(path, 0o755); }),
    replaced('slow', (path, real) => { script(path, `sleep 0.3\nexec '${real}' "$@"`); }),
    replaced('endless', (path) => { script(path, 'exec head -c 300000000 /dev/zero'); }),
    replaced('killed by itself', (path) => { script(path, 'kill -SEGV $$'); }),
  ];
}
