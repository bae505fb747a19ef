import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GPUCTL, inNamespace } from './arrange.ts';
import type { Expected } from './check.ts';
import type { FaultCase } from './run.ts';
import type { Stage } from './stage.ts';

/** The events file and what else is written. */
export function fileCases(): readonly FaultCase[] {
  const blind: Expected = { blindFile: true, nextExits: [0, 1] };
  const events = (fault: string, place: (stage: Stage) => string, more: Partial<FaultCase> = {}): FaultCase => ({
    callOut: 'events file', fault, expected: blind, ...more,
    arrange: (stage) => { stage.configure({ events: { file: place(stage) } }); return { undo: () => { stage.configure({}); } }; },
  });
  const onDisk = (fault: string, spareKiB: number, more: Partial<FaultCase> = {}): FaultCase => ({
    callOut: 'events file', fault, expected: { ...blind, brokenLines: 1 }, ...more,
    arrange: (stage) => inNamespace(stage, `mkdir $D/tiny && mount -t tmpfs -o size=64k tmpfs $D/tiny && : >$D/tiny/e && head -c ${(64 - 4 - spareKiB) * 1024} /dev/zero >$D/tiny/filler && { head -c ${spareKiB === 0 ? 65536 : 0} /dev/zero >>$D/tiny/filler; :; } 2>/dev/null && touch $D/events.jsonl && mount --bind $D/events.jsonl $D/tiny/e2 2>/dev/null; mount --bind $D/tiny/e $D/events.jsonl`, { after: 'umount $D/events.jsonl; cat $D/tiny/e >>$D/events.jsonl' }),
  });
  return [
    onDisk('disk full', 0, { quick: true }),
    onDisk('disk full after a few lines', 4),
    { callOut: 'events file', fault: 'read-only', expected: blind, arrange: (stage) => inNamespace(stage, 'touch $D/events.jsonl && mount --bind $D/events.jsonl $D/events.jsonl && mount -o remount,bind,ro $D/events.jsonl') },
    events('a pipe that nobody reads', ({ host }) => { execFileSync('mkfifo', [join(host.dir, 'pipe')]); return join(host.dir, 'pipe'); }, { quick: true }),
    events('a folder', ({ host }) => { mkdirSync(join(host.dir, 'folder')); return join(host.dir, 'folder'); }),
    events('a link', ({ host }) => { writeFileSync(join(host.dir, 'target'), ''); symlinkSync('target', join(host.dir, 'link')); return join(host.dir, 'link'); }),
    events('in a folder that is a file', ({ host }) => { writeFileSync(join(host.dir, 'plain'), ''); return join(host.dir, 'plain', 'events.jsonl'); }),
    { callOut: 'metrics file', fault: 'no such folder', arrange: (stage) => { stage.configure({ metrics: { textfile: join(stage.host.dir, 'none', 'gpuctl.prom') } }); return { undo: () => { stage.configure({}); } }; } },
    { callOut: 'metrics file', fault: 'a folder', arrange: (stage) => { mkdirSync(join(stage.host.dir, 'gpuctl.prom')); return { undo: () => { rmSync(join(stage.host.dir, 'gpuctl.prom'), { recursive: true }); } }; } },
    { callOut: 'lock', fault: 'held', expected: { exits: [75] }, arrange: (stage) => inNamespace(stage, 'exec 9>>/run/gpuctl/lock && flock 9') },
    { callOut: 'lock', fault: 'read-only', expected: { exits: [3] }, arrange: (stage) => inNamespace(stage, 'mount -o remount,bind,ro /run/gpuctl') },
    { callOut: 'standard output', fault: 'closed', arrange: () => ({ options: { program: ['sh', '-c', 'exec "$@" >&-', 'sh', GPUCTL] } }) },
    { callOut: 'standard output', fault: 'disk full', arrange: () => ({ options: { program: ['sh', '-c', 'exec "$@" >/dev/full', 'sh', GPUCTL] } }), expected: { exits: [1] }, quick: true },
  ];
}
