import { createServer } from 'node:net';
import { once } from 'node:events';
import { chmodSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Host } from '../hostsim/host.ts';
import type { Fault } from '../hostsim/world.ts';
import { idOf, useEngine, type FakeEngine, type Mood } from './fake-engine.ts';
import { actionsIn, eventsOf, GPUCTL, gpuctlAsUser, reportIn, useHost } from './workbench.ts';

const GONE = idOf('dead');

/** A host on which everything calls for an act: an orphan on GPU 0, a dirty and free GPU 1. */
async function useBusyHost(): Promise<{ host: Host; engine: FakeEngine; orphan: Awaited<ReturnType<Host['process']>> }> {
  const host = useHost({ gpus: [{}, { recovery: 'Reset' }], driver: '590.48.01' });
  const engine = await useEngine(host);
  const orphan = await host.process({ cgroup: `docker/${GONE}` });
  host.listOn(0, orphan);
  return { host, engine, orphan };
}

function expectUntouched(host: Host, orphan: { isAlive(): boolean }): void {
  expect(orphan.isAlive()).toBe(true);
  expect(host.world().resets).toEqual([]);
  expect(host.calls('reset')).toEqual([]);
}

describe('with nothing in its way', () => {
  it('the pass ends the orphan and resets the GPU that asks for it: the counterpart of every case below', async () => {
    const { host, orphan } = await useBusyHost();
    const result = await host.gpuctl(['release-stale', '--json']);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(reportIn(result).outcomes.map(({ result: how }) => how)).toEqual(['done', 'done']);
    expect(orphan.isAlive()).toBe(false);
    expect(host.world().resets).toHaveLength(1);
  });
});

describe('an engine that does not answer', () => {
  const moods: readonly (readonly [Mood, string, RegExp])[] = [
    ['error', 'error', /engine: HTTP 500: out of cheese|engine: info: HTTP 500/],
    ['truncated', 'malformed', /engine: .*cut off|engine: .*aborted/],
    ['garbage', 'malformed', /engine: .*not JSON/],
    ['hung', 'timeout', /engine: .*no whole answer within 1000 ms/],
  ];
  it.each(moods)('(%s) ends the pass with 3, an event and the reason, and nothing is done', async (mood, reason, why) => {
    const { host, engine, orphan } = await useBusyHost();
    engine.mood = mood;
    const result = await host.gpuctl(['release-stale']);
    expect(result.exitCode).toBe(3);
    expect(result.stdout).toMatch(why);
    expect(eventsOf(result.events, 'observe.failed')).toMatchObject([{ 'event.reason': reason, 'gpuctl.source': 'engine' }]);
    expect(eventsOf(result.events, 'pass.ended')).toMatchObject([{ 'event.outcome': 'failure', 'gpuctl.exit': 3 }]);
    expectUntouched(host, orphan);
  });

  const sockets: readonly (readonly [string, string, string, (host: Host) => void | Promise<void>])[] = [
    ['is absent', 'not-installed', 'there is no socket', () => undefined],
    ['refuses', 'refused', 'nothing listens at', async (host) => {
      const server = createServer().listen(join(host.dir, 'left.sock'));
      await once(server, 'listening');
      // Closing would take the socket away; a daemon that was killed leaves it.
      host.configure({ engine: { host: `unix://${join(host.dir, 'left.sock')}` } });
      renameSync(join(host.dir, 'left.sock'), join(host.dir, 'kept.sock'));
      server.close();
      renameSync(join(host.dir, 'kept.sock'), join(host.dir, 'left.sock'));
    }],
  ];
  it.each(sockets)('(its socket %s) ends the pass with 3, an event and the reason', async (_, reason, why, arrange) => {
    const host = useHost({ gpus: [{ recovery: 'Reset' }], driver: '590.48.01' });
    await arrange(host);
    const result = await host.gpuctl(['release-stale']);
    expect(result.exitCode).toBe(3);
    expect(result.stdout).toContain(why);
    expect(eventsOf(result.events, 'observe.failed')).toMatchObject([{ 'event.reason': reason }]);
    expect(host.calls('reset')).toEqual([]);
  });

  it('(this user may not use its socket) is told, and what the driver says is shown all the same', async () => {
    const host = useHost();
    const { socketPath } = await useEngine(host);
    chmodSync(socketPath, 0o600);
    chmodSync(host.configPath, 0o644);
    const result = await host.gpuctl(['health-check'], { program: gpuctlAsUser(host) });
    expect(result.exitCode).toBe(3);
    expect(result.stdout).toContain(`engine: this user may not use ${socketPath}`);
    expect(result.stdout).toContain(host.gpu(1).uuid);
  });
});

/** What each way to fail is called, and words of nvidia-smi's own that must be shown. */
const FAILURES: readonly (readonly [string, Fault, string, string])[] = [
  ['prints nothing', { kind: 'print', text: '' }, 'malformed', 'printed nothing'],
  ['prints garbage', { kind: 'print', text: 'Segmentation fault' }, 'malformed', 'Segmentation fault'],
  ['prints an error with exit 0', { kind: 'print', text: 'Failed to initialize NVML: Unknown Error' }, 'malformed', 'Unknown Error'],
  ['is cut in the middle', { kind: 'truncate', bytes: 3000, on: ['xml'] }, 'malformed', ''],
  ['exits 2', { kind: 'exit', code: 2 }, 'refused', 'is not a valid field to query'],
  ['exits 3', { kind: 'exit', code: 3 }, 'refused', 'Not Supported'],
  ['exits 4', { kind: 'exit', code: 4 }, 'not-permitted', 'Insufficient Permissions'],
  ['exits 6', { kind: 'exit', code: 6 }, 'no-devices', 'No devices were found'],
  ['exits 8', { kind: 'exit', code: 8 }, 'device-fault', 'insufficiently powered'],
  ['exits 9', { kind: 'exit', code: 9 }, 'no-driver', "couldn't communicate with the NVIDIA driver"],
  ['exits 11', { kind: 'exit', code: 11 }, 'device-fault', 'issue with GPU interrupts'],
  ['exits 12', { kind: 'exit', code: 12 }, 'no-driver', "couldn't find libnvidia-ml.so"],
  ['exits 15', { kind: 'exit', code: 15 }, 'device-fault', 'GPU is lost'],
  ['exits 17', { kind: 'exit', code: 17 }, 'not-permitted', 'blocked by the operating system'],
  ['exits 18', { kind: 'exit', code: 18 }, 'version-mismatch', 'version mismatch'],
  ['exits 19', { kind: 'exit', code: 19 }, 'refused', 'In use by another client'],
  ['exits 255', { kind: 'exit', code: 255 }, 'error', 'Unknown Error'],
];

describe('an nvidia-smi that fails', () => {
  it.each(FAILURES)('(it %s) ends the pass with 3, an event and its own words; nothing is done', async (_, fault, reason, words) => {
    const { host, orphan } = await useBusyHost();
    host.fault(fault);
    const result = await host.gpuctl(['release-stale']);
    expect(result.exitCode).toBe(3);
    expect(result.stdout.replace(/\s+/g, ' ')).toContain(words);
    expect(eventsOf(result.events, 'observe.failed')).toMatchObject([{ 'event.reason': reason, 'gpuctl.source': 'nvidia-smi' }]);
    // That it lasts is told besides.
    expect(actionsIn(result.events).filter((action) => action !== 'gpu.condition.raised')).toEqual(['pass.started', 'observe.failed', 'pass.ended']);
    expectUntouched(host, orphan);
  });

  it('(it is not installed) says so', async () => {
    const { host, orphan } = await useBusyHost();
    host.removeSmi();
    const result = await host.gpuctl(['release-stale']);
    expect(result).toMatchObject({ exitCode: 3, stdout: expect.stringContaining('nvidia-smi: nvidia-smi is not installed') as string });
    expectUntouched(host, orphan);
  });

  it.each([['plain', 'timeout'], ['ignores-term', 'timeout'], ['unreapable', 'hung']] as const)('(it hangs: %s) is given up at its deadline, and asked no second time', async (style, reason) => {
    const { host, orphan } = await useBusyHost();
    host.configure({ engine: { host: `unix://${join(host.dir, 'fake.sock')}` }, nvidia_smi: { timeout: '1s' } });
    host.fault({ kind: 'hang', style });
    const began = performance.now();
    const result = await host.gpuctl(['release-stale']);
    expect(performance.now() - began).toBeLessThan(3500);
    expect(result.exitCode).toBe(3);
    expect(eventsOf(result.events, 'observe.failed')).toMatchObject([{ 'event.reason': reason }]);
    expect(host.calls()).toHaveLength(1);
    expectUntouched(host, orphan);
  });
});

describe('only a part that cannot be seen', () => {
  it('a GPU that nvidia-smi drops is a finding and an event; the others are worked on', async () => {
    const { host, orphan } = await useBusyHost();
    host.fault({ kind: 'drop-gpu', gpu: host.gpu(1).uuid });
    const result = await host.gpuctl(['release-stale']);
    expect(result.exitCode).toBe(1);
    expect(eventsOf(result.events, 'observe.partial')).toMatchObject([{ 'gpuctl.source': 'nvidia-smi' }]);
    expect(orphan.isAlive()).toBe(false);
    expect(host.world().resets).toEqual([]);
  });

  it('a process list that was swallowed is not an empty one', async () => {
    const { host, orphan } = await useBusyHost();
    host.fault({ kind: 'swallow-processes', error: 'Insufficient Permissions' });
    const result = await host.gpuctl(['release-stale', '--json']);
    expect(result.exitCode).toBe(3);
    expect(reportIn(result).devices.map(({ processes, verdict }) => [processes, verdict])).toEqual([[null, 'unknown'], [null, 'faulty']]);
    expectUntouched(host, orphan);
  });
});

describe('as a user without rights', () => {
  /** /proc as a hardened host shows it: only the user's own processes. */
  const hidden = ['sh', '-c', 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', 'sh'];

  function useUserHost(): Host {
    const host = useHost();
    chmodSync(host.configPath, 0o644);
    return host;
  }

  it('read-only commands work and say what they do not know', async () => {
    const host = useUserHost();
    await useEngine(host);
    chmodSync(host.configPath, 0o644);
    chmodSync(join(host.dir, 'fake.sock'), 0o666);
    const program = gpuctlAsUser(host);
    const report = await host.gpuctl(['health-check'], { program });
    expect(report).toMatchObject({ exitCode: 1, stderr: '' });
    expect(report.stdout).toMatch(/processes: .*open files of \d+ processes are not readable as this user/);
    const status = await host.gpuctl(['status'], { program });
    expect(status).toMatchObject({ exitCode: 1, stderr: '' });
    expect(status.stdout).toMatch(/Next by the schedule\n(?: {2}in .+\n){5}(?: {2}but nothing on this host starts them: gpuctl schedule install\n)?$/);
    const free = await host.gpuctl(['free'], { program });
    expect(free).toMatchObject({ exitCode: 0, stdout: `${host.gpu(0).uuid}\n${host.gpu(1).uuid}\n` });
    expect(await host.gpuctl(['config', 'check'], { program })).toMatchObject({ exitCode: 0 });
    expect(await host.gpuctl(['allocations'], { program })).toMatchObject({ exitCode: 0, stdout: 'No allocations.\n' });
    expect(host.events()).toEqual([]);
  });

  it.each(['release-stale', 'sample', 'run-all', 'health-check --repair'])('%s fails at once with one line and a hint', async (line) => {
    const host = useUserHost();
    const result = await host.gpuctl(line.split(' '), { program: gpuctlAsUser(host) });
    expect(result.exitCode).toBe(3);
    expect(result.stdout).toBe('');
    expect(result.stderr).toMatch(/^gpuctl: [^\n]+\n {2}hint: [^\n]*root[^\n]*\n$/);
    expect(host.calls()).toEqual([]);
  });

  it('where /proc hides the processes of others, an orphan is unknown and no ghost', async () => {
    const host = useUserHost();
    await useEngine(host);
    chmodSync(host.configPath, 0o644);
    chmodSync(join(host.dir, 'fake.sock'), 0o666);
    // The simulated driver, too, would not see it there; the real one does.
    host.listOn(0, await host.process({ cgroup: `docker/${GONE}` }), { ghost: true });
    const result = await host.gpuctl(['health-check', '--json'], { program: [...hidden, ...gpuctlAsUser(host)] });
    expect(reportIn(result).devices[0]?.processes).toMatchObject([{ owner: 'unknown' }]);
    expect(reportIn(result).observed.processes).not.toBe('complete');
    expect(result.exitCode).not.toBe(0);
  });
});

describe('in a pid namespace that is not the host\'s', () => {
  it('processes count as not observed, and nothing is done to what would look like a ghost', async () => {
    const { host, orphan } = await useBusyHost();
    const result = await host.gpuctl(['release-stale'], { program: ['unshare', '--pid', '--fork', '--mount-proc', GPUCTL] });
    expect(result.exitCode).toBe(3);
    expect(eventsOf(result.events, 'observe.failed')).toMatchObject([{ 'event.reason': 'untrusted', 'gpuctl.source': 'processes' }]);
    expectUntouched(host, orphan);
  });
});
