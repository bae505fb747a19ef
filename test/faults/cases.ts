import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync, writeSync, closeSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { once } from 'node:events';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import type { ProxyRule } from '../hostsim/engine-proxy.ts';
import type { CallKind, Fault } from '../hostsim/world.ts';
import type { Expected } from './check.ts';
import type { Arranged, FaultCase } from './run.ts';
import type { Stage } from './stage.ts';

const GPUCTL = join(import.meta.dirname, '..', '..', 'bin', 'gpuctl');

/** Runs gpuctl after a few shell commands in its mount namespace, where `D` is the host's folder. */
function inNamespace({ host }: Stage, commands: string, { after = '' }: { readonly after?: string } = {}): Arranged {
  const run = after === '' ? 'exec "$@"' : `"$@"; rc=$?; ${after}; exit $rc`;
  return { options: { program: ['sh', '-c', `D=$1; shift; ${commands} && ${run}`, 'sh', host.dir, GPUCTL] } };
}

// The engine.

const ENGINE_CALLS: readonly (readonly [string, RegExp])[] = [
  ['ping', /_ping/], ['info', /\/info/], ['list', /containers\/json/], ['inspect', /containers\/[0-9a-f]{64}\/json/],
];

function engineCases(): readonly FaultCase[] {
  const answers: readonly (readonly [string, (path: RegExp, stage: Stage) => ProxyRule | Promise<ProxyRule>])[] = [
    ['hangs up', (path) => ({ path, answer: 'close' })],
    ['slow', (path) => ({ path, before: () => delay(100) })],
    ['hung', (path) => ({ path, answer: 'hang' })],
    ['half an answer', (path) => ({ path, answer: { truncateAt: 30 } })],
    ['500', (path) => ({ path, answer: { status: 500 } })],
    ['404', (path) => ({ path, answer: { status: 404 } })],
    ['HTML', (path) => ({ path, answer: { status: 200, body: '<html>busy</html>' } })],
    ['nothing', (path) => ({ path, answer: { status: 200, body: '' } })],
    ['an empty list', (path) => ({ path, answer: { status: 200, body: '[]' } })],
    ['an empty object', (path) => ({ path, answer: { status: 200, body: '{}' } })],
    ['another container', async (path, { ground: { engine, liveIds } }) => ({ path, answer: { status: 200, body: JSON.stringify(await engine.inspect(liveIds[0] ?? '')) } })],
  ];
  const quick = new Set(['list hung', 'inspect half an answer', 'inspect another container', 'list an empty list', 'info 500']);
  const every = ENGINE_CALLS.flatMap(([call, path]) => answers.map(([fault, rule]): FaultCase => ({
    callOut: `engine ${call}`, fault, quick: quick.has(`${call} ${fault}`),
    arrange: async (stage) => {
      const one = await rule(path, stage);
      stage.proxy.rules = [one];
      if (one.answer === 'hang') stage.configure({}, 'impatient');
      return { undo: () => { stage.proxy.rules = []; stage.configure({}); } };
    },
  })));
  const second = ENGINE_CALLS.slice(1).flatMap(([call, path]) => (['close', 'hang', { status: 500 }, { truncateAt: 30 }] as const).map((answer): FaultCase => ({
    callOut: `engine ${call}, from the second on`, fault: typeof answer === 'string' ? answer : JSON.stringify(answer),
    arrange: (stage) => {
      const rule: ProxyRule = { path, answer };
      stage.proxy.rules = [{ path, times: 1, before: () => { stage.proxy.rules = [rule]; } }];
      if (answer === 'hang') stage.configure({}, 'impatient');
      return { undo: () => { stage.proxy.rules = []; stage.configure({}); } };
    },
  })));
  const whole: readonly FaultCase[] = [
    { callOut: 'engine', fault: 'no socket', arrange: (stage) => ({ ...elsewhere(stage, 'nobody.sock') }) },
    { callOut: 'engine', fault: 'a plain file for a socket', arrange: (stage) => { writeFileSync(join(stage.host.dir, 'file.sock'), ''); return elsewhere(stage, 'file.sock'); } },
    { callOut: 'engine', fault: 'stopped in the middle of its life', arrange: (stage) => {
      stage.proxy.rules = [{ path: /./, answer: 'hang' }];
      stage.configure({}, 'impatient');
      return { undo: () => { stage.proxy.rules = []; stage.configure({}); } };
    } },
  ];
  return [...every, ...second, ...whole];
}

function elsewhere(stage: Stage, name: string): Arranged {
  stage.configure({ engine: { host: `unix://${join(stage.host.dir, name)}` } });
  return { undo: () => { stage.configure({}); } };
}

// nvidia-smi.

const READING: readonly CallKind[] = ['xml', 'list', 'query-gpu', 'compute-apps'];

function smiCases(): readonly FaultCase[] {
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

// /proc.

function procCases(): readonly FaultCase[] {
  const hidden = (fault: string, commands: (stage: Stage) => string, more: Partial<FaultCase> = {}): FaultCase => ({ callOut: '/proc', fault, ...more, arrange: (stage) => inNamespace(stage, commands(stage)) });
  const files = ['cgroup', 'stat', 'status', 'cmdline', 'comm'];
  const blank = files.flatMap((file) => [
    hidden(`${file} of the orphan is empty`, ({ host, orphan }) => `: >${host.dir}/blank && mount --bind ${host.dir}/blank /proc/${orphan.pid}/${file}`, { quick: file === 'cgroup' }),
    hidden(`${file} of the orphan is garbage`, ({ host, orphan }) => `printf '\\001\\377 ((( 0::' >${host.dir}/junk && mount --bind ${host.dir}/junk /proc/${orphan.pid}/${file}`),
    hidden(`${file} of the orphan may not be read`, ({ host, orphan }) => `mkdir -p ${host.dir}/nofile && touch ${host.dir}/nofile/f && mount --bind ${host.dir}/nofile/f /proc/${orphan.pid}/${file} && mount -o remount,bind,ro /proc/${orphan.pid}/${file}`),
    hidden(`${file} of a live container is empty`, ({ host, ground }) => `: >${host.dir}/blank && mount --bind ${host.dir}/blank /proc/${ground.live[0]?.pid}/${file}`),
  ]);
  return [
    ...blank,
    hidden('no boot id', ({ host }) => `: >${host.dir}/blank && mount --bind ${host.dir}/blank /proc/sys/kernel/random/boot_id`),
    hidden('no uptime', ({ host }) => `: >${host.dir}/blank && mount --bind ${host.dir}/blank /proc/uptime`),
    hidden('only the own processes', () => 'mount -t proc -o hidepid=2 proc /proc'),
    { callOut: '/proc', fault: 'another pid namespace', arrange: () => ({ options: { program: ['unshare', '--pid', '--fork', '--mount-proc', GPUCTL] } }) },
  ];
}

// The ledger.

function ledgerCases(): readonly FaultCase[] {
  const file = ({ host }: Stage): string => join(host.stateDir, 'ledger.db');
  const ledger = (fault: string, arrange: FaultCase['arrange'], more: Partial<FaultCase> = {}): FaultCase => ({ callOut: 'ledger', fault, arrange, ...more });
  const begunAnew: Expected = { newLedger: true, nextExits: [0, 1] };
  /** The state on a small disk of its own, brought back afterwards. */
  const full = (spareKiB: number): FaultCase => ledger(`disk full, ${spareKiB} KiB left`, (stage) => {
    const kib = Math.ceil(statSync(file(stage)).size / 1024) + 16 + spareKiB;
    return inNamespace(stage, `mkdir -p $D/tiny && mount -t tmpfs -o size=${kib}k tmpfs $D/tiny && cp -a $D/state/. $D/tiny/ && mkdir $D/kept && mount --bind $D/state $D/kept && mount --bind $D/tiny $D/state`, { after: 'cp -a $D/tiny/. $D/kept/' });
  }, { expected: { exits: [0, 1, 3, 4], nextExits: [0, 1] }, quick: spareKiB === 0 });
  const damaged = (fault: string, damage: (path: string) => void, more: Partial<FaultCase> = {}): FaultCase => ledger(fault, (stage) => { damage(file(stage)); return {}; }, { expected: begunAnew, ...more });
  return [
    ...[0, 40, 80, 120, 200].map(full),
    ledger('a read-only folder', (stage) => inNamespace(stage, 'mount --bind $D/state $D/state && mount -o remount,bind,ro $D/state'), { quick: true, expected: { exits: [3] } }),
    ledger('locked by another writer', (stage) => {
      const db = new DatabaseSync(file(stage));
      db.exec('BEGIN IMMEDIATE');
      return { undo: () => { db.exec('ROLLBACK'); db.close(); } };
    }, { expected: { exits: [3] } }),
    ledger('slow: locked for a second', (stage) => {
      const db = new DatabaseSync(file(stage));
      db.exec('BEGIN IMMEDIATE');
      const free = delay(1500).then(() => { db.exec('ROLLBACK'); db.close(); });
      return { undo: () => free };
    }),
    ledger('a folder in its place', (stage) => {
      renameSync(file(stage), `${file(stage)}.kept`);
      mkdirSync(file(stage));
      return { undo: () => { rmSync(file(stage), { recursive: true }); renameSync(`${file(stage)}.kept`, file(stage)); } };
    }),
    ledger('a link in its place', (stage) => {
      renameSync(file(stage), `${file(stage)}.kept`);
      symlinkSync(`${file(stage)}.kept`, file(stage));
      return { undo: () => { rmSync(file(stage)); if (existsSync(`${file(stage)}.kept`)) renameSync(`${file(stage)}.kept`, file(stage)); } };
    }, { expected: { nextExits: [0, 1] } }),
    damaged('absent', (path) => { rmSync(path); }),
    damaged('empty', (path) => { writeFileSync(path, ''); }),
    damaged('half of it', (path) => { const bytes = readFileSync(path); writeFileSync(path, bytes.subarray(0, bytes.length >> 1)); }, { quick: true }),
    damaged('garbage', (path) => { writeFileSync(path, 'garbage '.repeat(1000)); }),
    damaged('a header that is none', (path) => { overwrite(path, 0, 100); }),
    damaged('garbage in the middle', (path) => { overwrite(path, statSync(path).size >> 1, 8192); }),
    damaged('a write-ahead log of garbage', (path) => { writeFileSync(`${path}-wal`, 'garbage '.repeat(4000)); }, { expected: { nextExits: [0, 1] } }),
    damaged('of a newer gpuctl', (path) => { const db = new DatabaseSync(path); db.exec('PRAGMA user_version = 99'); db.close(); }, {
      arrange: (stage) => {
        const version = (n: number): void => { const db = new DatabaseSync(file(stage)); db.exec(`PRAGMA user_version = ${n}`); db.close(); };
        const db = new DatabaseSync(file(stage));
        const was = Number(Object.values(db.prepare('PRAGMA user_version').get() ?? {})[0]);
        db.close();
        version(99);
        return { undo: () => { version(was); } };
      },
      expected: { exits: [3] },
    }),
  ];
}

function overwrite(path: string, at: number, length: number): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.alloc(length, 0xa5), 0, length, at);
  closeSync(fd);
}

// The events file and what else is written.

function fileCases(): readonly FaultCase[] {
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

// Those who are told.

function sinkCases(): readonly FaultCase[] {
  const told = (fault: string, callOut: string, sink: (stage: Stage) => Promise<{ readonly sink: object; readonly close?: () => void }>, quick = false): FaultCase => ({
    callOut, fault, quick, expected: { nextExits: [0, 1] },
    arrange: async (stage) => {
      const { sink: admin, close } = await sink(stage);
      stage.configure({ notify: { admin: [admin] } });
      // Something to tell: a GPU that is missing.
      stage.host.fault({ kind: 'drop-gpu', gpu: stage.host.gpu(0).uuid });
      return { undo: () => { close?.(); stage.host.clearFaults(); stage.configure({}); } };
    },
  });
  const server = async (answer: (response: import('node:http').ServerResponse) => void): Promise<{ readonly sink: object; readonly close: () => void }> => {
    const listening = createServer((_, response) => { answer(response); }).listen(0, '127.0.0.1');
    await once(listening, 'listening');
    const address = listening.address();
    return { sink: { webhook: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/hook` }, close: () => { listening.closeAllConnections(); listening.close(); } };
  };
  const program = async ({ host }: Stage, text: string | null, kind: 'exec' | 'mail'): Promise<{ readonly sink: object }> => {
    const path = join(host.dir, 'bin', 'sink');
    if (text !== null) { writeFileSync(path, `#!/bin/sh\n${text}\n`); chmodSync(path, 0o755); }
    return { sink: kind === 'exec' ? { exec: path } : { mail: 'admin@example.org', program: path } };
  };
  return [
    told('refused', 'webhook', async () => ({ sink: { webhook: 'http://127.0.0.1:1/hook' } })),
    told('hung', 'webhook', () => server(() => undefined), false),
    told('500', 'webhook', () => server((response) => { response.writeHead(500).end('no'); }), true),
    told('hangs up', 'webhook', () => server((response) => { response.destroy(); })),
    told('endless', 'webhook', () => server((response) => { response.writeHead(200); const more = setInterval(() => { response.write('x'.repeat(1000)); }, 50); response.on('close', () => { clearInterval(more); }); })),
    told('hung', 'exec', (stage) => program(stage, 'sleep 1000', 'exec')),
    told('hung, ignores SIGTERM', 'exec', (stage) => program(stage, 'trap "" TERM; while :; do sleep 1; done', 'exec')),
    told('fails', 'exec', (stage) => program(stage, 'cat >/dev/null; exit 3', 'exec')),
    told('does not read', 'exec', (stage) => program(stage, 'exit 0', 'exec')),
    told('absent', 'exec', (stage) => program(stage, null, 'exec')),
    told('absent', 'sendmail', (stage) => program(stage, null, 'mail')),
    told('hung', 'sendmail', (stage) => program(stage, 'sleep 1000', 'mail')),
  ];
}

/** Every call out of the process with every fault. */
export const CASES: readonly FaultCase[] = [...engineCases(), ...smiCases(), ...procCases(), ...ledgerCases(), ...fileCases(), ...sinkCases()];
