import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { NOTICE_NAME } from '../../../src/act/notify/container-file.ts';
import type { ContainerOptions } from '../../hostsim/dockerd.ts';
import type { ProxyRule } from '../../hostsim/engine-proxy.ts';
import type { LimitExpected } from './check.ts';
import type { LimitCase } from './run.ts';
import type { LimitStage } from './stage.ts';

const NOTIFY = { notify: { owner: ['container-file'] } };
const WARNED = ['container.runtime.warned success'];

/** A notice in the container, with everything that can be wrong about putting it there. The warning counts all the same, and the next one is delivered. */
export function archiveCases(): readonly LimitCase[] {
  const answers: readonly (readonly [string, Omit<ProxyRule, 'path'>, boolean])[] = [
    ['hangs up', { answer: 'close' }, true],
    ['hung', { answer: 'hang' }, true],
    ['slow', { before: () => delay(1000) }, false],
    ['half an answer', { answer: { raw: 'HTTP/1.1 200 O' } }, true],
    ['garbage', { answer: { raw: '\u0000\u001b[2J<<<>>>\r\n\r\n' } }, true],
    ...([400, 403, 404, 409, 500, 507] as const).map((status) => [String(status), { answer: { status } }, true] as const),
    ['an answer without an end', { answer: { raw: 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx' } }, true],
    // Nobody can tell this from the truth without reading it back; the next one is delivered.
    ['200, and not done', { answer: { status: 200, body: '' } }, false],
  ];
  const put = answers.map(([fault, rule, missed]) => noticed('archive', fault, { rules: () => [{ method: 'PUT', path: /\/archive/, ...rule }], missed }));
  const looks: readonly (readonly [string, ProxyRule['answer'] & {}])[] = [['hung', 'hang'], ['500', { status: 500 }], ['half an answer', { truncateAt: 30 }]];
  const look = looks.map(([fault, answer]) => noticed('archive', `the look before it: ${fault}`, {
    // The first look is the pass's own.
    rules: (stage) => [{ path: new RegExp(`${stage.id}/json`), times: 1, before: () => { stage.proxy.rules = [{ path: new RegExp(`${stage.id}/json`), answer }]; } }], missed: true,
  }));
  return [...put, ...look, ...places()];
}

interface Noticed {
  readonly rules: (stage: LimitStage) => ProxyRule[];
  /** The first notice is not delivered. */
  readonly missed: boolean;
}

function noticed(callOut: string, fault: string, { rules, missed }: Noticed): LimitCase {
  return {
    callOut, fault, kind: 'fresh', expected: { exits: [0], says: WARNED, undelivered: [missed ? 1 : 0, 0], finally: lastNotice },
    arrange: (stage) => {
      stage.configure(NOTIFY, missed ? 'impatient' : undefined);
      stage.proxy.rules = rules(stage);
      return { undo: () => { stage.proxy.rules = []; stage.configure(NOTIFY); } };
    },
  };
}

function lastNotice({ ground: { engine }, id }: LimitStage): readonly string[] {
  const inspected = execFileSync('curl', ['-s', '--unix-socket', engine.socketPath, `http://localhost/containers/${id}/json`], { encoding: 'utf8' });
  const pid = (JSON.parse(inspected) as { readonly State: { readonly Pid: number } }).State.Pid;
  const file = `/proc/${pid}/root/workspace/${NOTICE_NAME}`;
  return existsSync(file) && readFileSync(file, 'utf8').includes('This is the last warning') ? [] : ['the last notice is not in the container'];
}

/** What /workspace may be. It stays so, and neither notice is delivered. */
function places(): readonly LimitCase[] {
  const neither: LimitExpected = { exits: [0], nextExits: [0], says: WARNED, undelivered: [1, 1] };
  const place = (fault: string, container: (folder: string) => ContainerOptions, prepare: (folder: string) => void = () => undefined): LimitCase => {
    const folder = { path: '' };
    return {
      callOut: 'archive', fault, kind: 'fresh', expected: neither,
      container: () => { folder.path = mkdtempSync(join(tmpdir(), 'gpuctl-workspace-')); prepare(folder.path); return container(folder.path); },
      arrange: (stage) => { stage.configure(NOTIFY); return {}; },
      after: () => {
        execFileSync('sh', ['-c', 'umount "$1" 2>/dev/null; true', 'sh', folder.path]);
        rmSync(folder.path, { recursive: true, force: true });
      },
    };
  };
  const bound = (folder: string): ContainerOptions => ({ binds: [`${folder}:/workspace`] });
  return [
    place('disk full', bound, (folder) => {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', folder]);
      try { writeFileSync(join(folder, 'data'), Buffer.alloc(1 << 20)); } catch { /* It is full, as it was to be. */ }
    }),
    place('read-only', (folder) => ({ binds: [`${folder}:/workspace:ro`] })),
    place('a read-only container', () => ({ hostConfig: { ReadonlyRootfs: true } })),
    place('a tmpfs', () => ({ hostConfig: { Tmpfs: { '/workspace': 'size=64k' } } })),
    place('a folder in its place', bound, (folder) => { mkdirSync(join(folder, NOTICE_NAME, 'x'), { recursive: true }); }),
    place('no such folder', () => ({ cmd: ['sh', '-c', 'busybox rmdir /workspace; exec sleep 100000'] })),
  ];
}
