import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { cgroupRoots } from '../hostsim/cgroups.ts';
import { startEngine, type Engine, type EngineOptions } from '../hostsim/dockerd.ts';
import type { Host, HostOptions } from '../hostsim/host.ts';
import { shimsOf } from '../hostsim/process-table.ts';
import { processStat } from '../hostsim/smi-device.ts';
import { changesIn, deviceOf, eventsOf, fateOf, openScene, useEngine, type Scene } from './scene.ts';
import { startPodman } from './podman.ts';

const engine = useEngine();
/** A GPU that asks for a reset, so that only somebody who refers to it keeps it from one. */
const SICK = { recovery: 'Reset' } as const;
/** A full id that no engine has. */
const STRANGER = 'c0ffee'.padEnd(64, '5');

function open(options: HostOptions = {}, on: Engine = engine()): Scene {
  const scene = openScene(on, { driver: '590.48.01', gpus: 1, ...options });
  onTestFinished(() => scene.dispose());
  return scene;
}

async function ownEngine(options: EngineOptions = {}): Promise<Engine> {
  const own = await startEngine(options);
  onTestFinished(() => own.dispose());
  return own;
}

function isAlive(pid: number): boolean {
  return (processStat(pid)?.state ?? 'Z') !== 'Z';
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(10);
}

/** Is an act in flight? The ledger says so before anything is signalled. */
function isActing({ stateDir }: Host): boolean {
  const file = join(stateDir, 'ledger.db');
  if (!existsSync(file)) return false;
  const db = new DatabaseSync(file, { readOnly: true, timeout: 5000 });
  try {
    return db.prepare("SELECT 1 FROM acts WHERE ended_at IS NULL AND verb = 'kill'").get() !== undefined;
  } catch {
    // Its tables are just being made.
    return false;
  } finally {
    db.close();
  }
}

/** A process in a pid namespace of its own, as every container's are. */
async function startInOwnNamespace({ host }: Scene, cgroup: string): Promise<number> {
  const parent = spawn('unshare', ['--pid', '--fork', '--kill-child', 'sleep', '100000'], { detached: true, stdio: 'ignore' });
  await once(parent, 'spawn');
  parent.unref();
  const parentPid = parent.pid ?? -1;
  host.sandbox.trackProcess(parentPid, processStat(parentPid)?.startTicks ?? -1);
  const child = (): number => Number(readFileSync(`/proc/${parentPid}/task/${parentPid}/children`, 'utf8'));
  await until(() => child() > 0 && readFileSync(`/proc/${child()}/comm`, 'utf8') === 'sleep\n');
  host.putInCgroup(child(), cgroup);
  return child();
}

/** Two processes; the parent never collects its child, which is put into this cgroup. */
async function startUncollected({ host }: Scene, { cgroup, ended }: { readonly cgroup?: string; readonly ended: boolean }): Promise<{ readonly pid: number; readonly startTicks: number }> {
  const script = ended ? 'sleep 0 & echo $!; exec sleep 100000' : 'sleep 100000 & echo $!; exec sleep 100000';
  const parent = spawn('sh', ['-c', script], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  const [line] = await once(parent.stdout, 'data') as [Buffer];
  parent.stdout.destroy();
  parent.unref();
  const pid = Number(line.toString());
  const parentPid = parent.pid ?? -1;
  host.sandbox.trackProcess(parentPid, processStat(parentPid)?.startTicks ?? -1);
  await until(() => (ended ? processStat(pid)?.state === 'Z' : readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n'));
  if (cgroup !== undefined) host.putInCgroup(pid, cgroup);
  return { pid, startTicks: processStat(pid)?.startTicks ?? -1 };
}

describe('a container of a second engine', () => {
  it('is reported and left alone: the first engine does not know it, but its shim lives', async () => {
    const scene = open({ gpus: [SICK] });
    const second = await ownEngine();
    const id = await second.run({ name: 'theirs', gpus: 'all' });
    const pid = await second.initPid(id);
    scene.host.listOn(0, pid);
    const run = await scene.pass(['release-stale']);
    expect(fateOf(run, pid)).toEqual({ verdict: 'leave', reason: 'foreign-shim-alive', outcome: null });
    expect(run.report.findings).toContainEqual(expect.objectContaining({ id: 'process.foreign', subject: expect.objectContaining({ pid, container: id }) as unknown }));
    expect(eventsOf(run, 'gpu.stray.reported')).toMatchObject([{ 'process.pid': pid, 'event.reason': 'foreign-shim-alive', 'container.id': id }]);
    expect([run.exitCode, isAlive(pid), changesIn(run.calls)]).toEqual([1, true, []]);
  });

  it('is left alone even where a process of the host was put into its cgroup: only the shim tells', async () => {
    const scene = open();
    const second = await ownEngine();
    const id = await second.run();
    const inside = await scene.host.process({ cgroup: `docker/${id}` });
    scene.host.listOn(0, inside);
    const run = await scene.pass(['release-stale']);
    expect(fateOf(run, inside.pid)).toMatchObject({ verdict: 'leave', reason: 'foreign-shim-alive' });
    expect([run.exitCode, inside.isAlive()]).toEqual([1, true]);
  });
});

describe('a nested container (Docker in Docker)', () => {
  it('belongs to the outer one while that runs', async () => {
    const scene = open({ gpus: [SICK] });
    const outer = await engine().run({ privileged: true });
    const inner = await scene.host.process({ cgroup: `docker/${outer}/docker/${STRANGER}` });
    scene.host.listOn(0, inner);
    const run = await scene.pass(['release-stale']);
    expect(fateOf(run, inner.pid)).toMatchObject({ verdict: 'leave', reason: 'running-container' });
    expect(deviceOf(run, scene.uuid(0)).claims).toMatchObject([{ container: { id: outer }, source: 'live-process' }]);
    expect([run.exitCode, inner.isAlive(), changesIn(run.calls)]).toEqual([1, true, []]);
  });

  it('belongs to somebody else where its path does not name the outer one, for its pid namespace has an init', async () => {
    const scene = open({ gpus: [SICK] });
    const pid = await startInOwnNamespace(scene, `docker/${STRANGER}`);
    scene.host.listOn(0, pid);
    const run = await scene.pass(['release-stale']);
    expect(fateOf(run, pid)).toMatchObject({ verdict: 'leave', reason: 'foreign-pid-namespace' });
    expect(eventsOf(run, 'gpu.stray.reported')).toMatchObject([{ 'event.reason': 'foreign-pid-namespace' }]);
    expect([run.exitCode, isAlive(pid), changesIn(run.calls)]).toEqual([1, true, []]);
  });

  it('is an orphan where the outer one was this engine\'s and both are gone, and its process is one of the host', async () => {
    const scene = open();
    const outer = await engine().run();
    await scene.pass(['sample']);
    await engine().rm(outer);
    const left = await scene.host.process({ cgroup: `docker/${outer}/docker/${STRANGER}` });
    scene.host.listOn(0, left);
    const run = await scene.pass(['release-stale']);
    expect(fateOf(run, left.pid)).toMatchObject({ verdict: 'act', reason: 'orphan-container-gone', outcome: { result: 'done' } });
    expect(left.isAlive()).toBe(false);
  });
});

describe('a process of another manager', () => {
  const paths = {
    'rootless Docker': `user.slice/user-1000.slice/user@1000.service/app.slice/docker-${STRANGER}.scope`,
    'a user session': `user.slice/user-1000.slice/session-3.scope/docker/${STRANGER}`,
    'Kubernetes': `kubepods/burstable/pod11111111-2222-3333-4444-555555555555/${STRANGER}`,
    'Kubernetes by systemd': `kubepods.slice/kubepods-pod1.slice/cri-containerd-${STRANGER}.scope`,
    'Kubernetes on Docker': `kubepods/besteffort/pod1/docker/${STRANGER}`,
    'podman': `machine.slice/libpod-${STRANGER}.scope`,
    'podman without systemd': `libpod_parent/libpod-${STRANGER}`,
    'LXC': `lxc.payload.web/docker/${STRANGER}`,
    'Slurm': `slurm/uid_1000/job_7/step_0/docker/${STRANGER}`,
    'Slurm by systemd': `system.slice/slurmstepd.scope/job_7/step_0/user/task_0/docker/${STRANGER}`,
    'nerdctl': `system.slice/nerdctl-${STRANGER}.scope`,
    'a Kubernetes runtime': `system.slice/cri-containerd-${STRANGER}.scope`,
    'a virtual machine': `machine.slice/machine-qemu.scope/docker/${STRANGER}`,
  };

  it('is left alone, whoever the manager is', async () => {
    const scene = open({ gpus: [SICK] });
    const theirs = await Promise.all(Object.values(paths).map((cgroup) => scene.host.process({ cgroup })));
    for (const each of theirs) scene.host.listOn(0, each);
    const run = await scene.pass(['release-stale']);
    for (const [n, manager] of Object.keys(paths).entries()) {
      const pid = theirs[n]?.pid ?? -1;
      expect([manager, fateOf(run, pid), isAlive(pid)]).toEqual([manager, { verdict: 'leave', reason: 'other-manager', outcome: null }, true]);
    }
    expect(changesIn(run.calls)).toEqual([]);
  });

  it('is left alone where one hierarchy alone names the manager and all others a container that is gone', async () => {
    const scene = open();
    const { host, engine: own } = scene;
    const id = await own.run();
    await own.rm(id);
    const [first = ''] = cgroupRoots();
    const theirs = await host.process({ cgroup: `docker/${id}` });
    const single = join(first, 'kubepods-e2e');
    host.sandbox.trackCgroup(single);
    mkdirSync(single, { recursive: true });
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      if (existsSync(join(single, file))) writeFileSync(join(single, file), readFileSync(join(first, file)));
    }
    writeFileSync(join(single, 'cgroup.procs'), String(theirs.pid));
    host.listOn(0, theirs);
    const run = await scene.pass(['release-stale']);
    expect(fateOf(run, theirs.pid)).toMatchObject({ verdict: 'leave', reason: 'other-manager' });
    expect(theirs.isAlive()).toBe(true);
  });
});

describe('an idle privileged container', () => {
  it('claims nothing: a free GPU that asks for it is reset beside it', async () => {
    const scene = open({ gpus: [SICK] });
    await engine().run({ name: 'node-exporter', privileged: true });
    const run = await scene.pass(['release-stale']);
    expect(deviceOf(run, scene.uuid(0))).toMatchObject({ claims: [], verdict: 'clean' });
    expect([run.exitCode, scene.host.world().resets.length]).toEqual([0, 1]);
  });

  it('keeps the GPU whose node it has open from a reset, and no other, until it lets go', async () => {
    const scene = open({ gpus: [SICK, SICK], deviceNodes: true, config: { reset: { cooldown: '1s' } } });
    const id = await engine().run({ name: 'dcgm', privileged: true });
    const holder = await scene.host.holdNode(0, { name: 'exporter', cgroup: `docker/${id}` });
    const run = await scene.pass(['release-stale']);
    expect(scene.host.world().resets.map(({ gpu }) => gpu)).toEqual([scene.uuid(1)]);
    expect(eventsOf(run, 'gpu.reset.withheld')).toMatchObject([{ 'gpu.uuid': scene.uuid(0), 'gpuctl.blockers': [{ kind: 'node-holder', hard: true, what: expect.stringContaining(String(holder.pid)) as string }] }]);
    expect(run.exitCode).toBe(1);
    await holder.end();
    const again = await scene.pass(['release-stale']);
    expect([again.exitCode, scene.host.world().resets.at(-1)?.gpu]).toEqual([0, scene.uuid(0)]);
  });
});

describe('what happens during the grace of a kill', () => {
  it('a container that starts then with the orphan\'s device keeps the GPU from the reset that follows', async () => {
    const scene = open({ config: { orphans: { term_grace: '2s' } } });
    const orphan = await scene.orphan(0, { process: { ignoreTerm: true }, leavesMiB: 6000 });
    const running = scene.passWhileContainersChange(['release-stale']);
    await until(() => isActing(scene.host));
    const newcomer = await engine().run({ name: 'newcomer', gpus: [scene.uuid(0)] });
    const run = await running;
    expect(fateOf(run, orphan.pid)).toMatchObject({ verdict: 'act', outcome: { result: 'done' } });
    expect(eventsOf(run, 'gpu.reset.withheld')).toMatchObject([{ 'event.reason': 'shared', 'gpuctl.alert': true, 'gpuctl.blockers': [{ kind: 'container-claim', what: expect.stringContaining('newcomer') as string }] }]);
    expect([orphan.isAlive(), changesIn(run.calls), run.exitCode]).toEqual([false, [], 1]);
    expect((await engine().inspect(newcomer)).State.Running).toBe(true);
  });

  it('a stopped container that starts again then gets its process back: no SIGKILL', async () => {
    const scene = open({ config: { orphans: { term_grace: '2s' } } });
    const orphan = await scene.orphan(0, { keep: true, process: { ignoreTerm: true } });
    const running = scene.passWhileContainersChange(['release-stale']);
    await until(() => isActing(scene.host));
    await engine().start(orphan.containerId);
    const run = await running;
    expect(fateOf(run, orphan.pid)).toMatchObject({ verdict: 'act', reason: 'orphan-container-stopped', outcome: { result: 'refused', reason: 'looks-differ' } });
    expect(eventsOf(run, 'gpu.orphan.survived')).toMatchObject([{ 'process.pid': orphan.pid, 'event.reason': 'looks-differ' }]);
    expect([orphan.isAlive(), run.exitCode]).toEqual([true, 4]);
  });
});

describe('an engine that is swapped between two passes', () => {
  it.each([false, true])('is not believed (new engine id: %s): what its predecessor runs lives on', async (newId) => {
    const own = await ownEngine();
    const scene = open({ gpus: [{}, SICK] }, own);
    const id = await own.run({ name: 'training', gpus: [scene.uuid(0)] });
    const pid = await own.initPid(id);
    scene.host.listOn(0, pid);
    const inside = await scene.host.process({ cgroup: `docker/${id}` });
    scene.host.listOn(0, inside);
    expect((await scene.pass(['sample'])).report.observed.engine).toBe('complete');
    await own.restartWithOtherDataRoot({ newId });
    const run = await scene.pass(['release-stale']);
    expect(eventsOf(run, 'observe.failed')).toMatchObject([{ 'gpuctl.source': 'engine', 'event.reason': 'untrusted', 'event.outcome': 'failure' }]);
    expect(run.report.observed.engine).toBe('failed');
    expect([run.exitCode, isAlive(pid), inside.isAlive(), changesIn(run.calls)]).toEqual([3, true, true, []]);
    expect(run.report.decisions.filter(({ verdict }) => verdict === 'act')).toEqual([]);
    expect(eventsOf(run, 'gpu.allocation.released')).toEqual([]);
  });

  it('is not believed where another one listens on the same path, between two passes or two looks', async () => {
    const [one, two] = await Promise.all([ownEngine(), ownEngine()]);
    const scene = open({}, one);
    const link = join(scene.host.dir, 'engine.sock');
    const turnTo = ({ socketPath }: Engine): void => {
      symlinkSync(socketPath, `${link}.new`);
      renameSync(`${link}.new`, link);
    };
    turnTo(one);
    scene.host.configure({ engine: { host: `unix://${link}` }, orphans: { confirm_after: '2s' } });
    const orphan = await scene.orphan(0);
    expect((await scene.pass(['sample'])).exitCode).toBe(0);
    const before = scene.host.calls('compute-apps').length;
    const running = scene.pass(['health-check', '--repair']);
    // The first look is over when its last question to nvidia-smi has been answered; the second one is 2 s away.
    await until(() => scene.host.calls('compute-apps').length > before);
    await delay(500);
    turnTo(two);
    const run = await running;
    expect(fateOf(run, orphan.pid)).toMatchObject({ verdict: 'refuse', reason: 'looks-differ', outcome: null });
    expect([run.exitCode, orphan.isAlive()]).toEqual([3, true]);
    await one.crash();
    const later = await scene.pass(['release-stale']).catch(() => null);
    expect(later).toBeNull();
    const after = await scene.passWhileContainersChange(['release-stale']);
    expect(eventsOf(after, 'observe.failed')).toMatchObject([{ 'event.reason': 'untrusted' }]);
    expect([after.exitCode, orphan.isAlive()]).toEqual([3, true]);
    await one.restart();
    turnTo(one);
    expect([(await scene.pass(['release-stale'])).exitCode, orphan.isAlive()]).toEqual([0, false]);
  });
});

describe('an engine that crashes and comes back as it was', () => {
  it('costs nobody anything: no act while it is away, all as before when it is back', async () => {
    const own = await ownEngine({ liveRestore: true });
    const scene = open({ gpus: [{}, SICK] }, own);
    const live = await scene.computing(0, { name: 'training', gpus: [scene.uuid(0)] });
    const pid = await own.initPid(live);
    const orphan = await scene.orphan(1);
    await scene.pass(['sample']);
    await own.crash();
    const away = await scene.passWhileContainersChange(['release-stale']);
    expect(eventsOf(away, 'observe.failed')).toMatchObject([{ 'gpuctl.source': 'engine', 'event.reason': 'refused' }]);
    expect(fateOf(away, pid)).toMatchObject({ verdict: 'refuse', reason: 'engine-unknown' });
    expect([away.exitCode, isAlive(pid), orphan.isAlive(), changesIn(away.calls)]).toEqual([3, true, true, []]);
    expect(shimsOf(live)).toHaveLength(1);
    await own.restart();
    const back = await scene.pass(['release-stale']);
    expect(fateOf(back, pid)).toMatchObject({ verdict: 'leave', reason: 'running-container' });
    expect([back.exitCode, isAlive(pid), orphan.isAlive(), scene.host.world().resets.map(({ gpu }) => gpu)]).toEqual([0, true, false, [scene.uuid(1)]]);
  });
});

describe.runIf(spawnSync('podman', ['--version']).status === 0)('podman as the engine', () => {
  it('its containers\' claims count, and its processes are reported, never ended', async () => {
    const podman = await startPodman();
    onTestFinished(() => podman.dispose());
    const scene = open({ gpus: [SICK, SICK], engineHost: podman.host });
    const { id, pid } = await podman.run('--name', 'claimant', '--label', `gpuctl.device=${scene.uuid(0)}`);
    scene.host.listOn(0, pid);
    const left = await scene.host.process({ cgroup: `docker/${STRANGER}` });
    scene.host.listOn(0, left);
    const run = await scene.pass(['release-stale']);
    expect(run.report.observed).toMatchObject({ nvidia_smi: 'complete', engine: 'complete', processes: 'complete' });
    expect(deviceOf(run, scene.uuid(0)).claims).toContainEqual(expect.objectContaining({ container: { id, name: 'claimant', state: 'running' }, source: 'label' }));
    expect(fateOf(run, pid)).toMatchObject({ verdict: 'leave', reason: 'running-container' });
    expect(fateOf(run, left.pid)).toMatchObject({ verdict: 'leave', reason: 'foreign-podman' });
    expect(eventsOf(run, 'gpu.stray.reported')).toMatchObject([{ 'process.pid': left.pid, 'event.reason': 'foreign-podman' }]);
    expect([isAlive(pid), left.isAlive(), run.exitCode]).toEqual([true, true, 1]);
    expect(scene.host.world().resets.map(({ gpu }) => gpu)).toEqual([scene.uuid(1)]);
    await podman.remove(id);
    const inLibpod = await scene.host.process({ cgroup: `libpod_parent/libpod-${id}` });
    scene.host.listOn(0, inLibpod);
    const after = await scene.pass(['release-stale']);
    expect(fateOf(after, inLibpod.pid)).toMatchObject({ verdict: 'leave', reason: 'other-manager' });
    expect([inLibpod.isAlive(), left.isAlive()]).toEqual([true, true]);
  });
});

describe('an orphan', () => {
  it.each([
    ['whose container has exited, by its cgroupfs path', (id: string): string => `docker/${id}`, true],
    ['whose container has exited, by its systemd path', (id: string): string => `system.slice/docker-${id}.scope`, true],
    ['whose container is gone, by its systemd path', (id: string): string => `system.slice/docker-${id}.scope`, false],
  ] as const)('%s, is ended', async (_, pathOf, keep) => {
    const scene = open();
    const id = await scene.stopped({ name: 'was-here' });
    if (!keep) await engine().rm(id);
    const orphan = await scene.host.process({ cgroup: pathOf(id) });
    scene.host.listOn(0, orphan);
    const run = await scene.pass(['release-stale']);
    const reason = keep ? 'orphan-container-stopped' : 'orphan-container-gone';
    expect(fateOf(run, orphan.pid)).toMatchObject({ verdict: 'act', reason, outcome: { result: 'done' } });
    expect(eventsOf(run, 'gpu.orphan.ended')).toMatchObject([{ 'process.pid': orphan.pid, 'container.id': id, 'event.reason': reason, 'event.outcome': 'success' }]);
    expect([run.exitCode, orphan.isAlive()]).toEqual([0, false]);
  });
});

/** Nothing signals a frozen process out of its state: the nearest thing to uninterruptible sleep. Only the old freezer does that. */
const FREEZER = '/sys/fs/cgroup/freezer';

function freeze(id: string): void {
  const group = join(FREEZER, 'docker', id);
  writeFileSync(join(group, 'freezer.state'), 'FROZEN');
  onTestFinished(() => { if (existsSync(group)) writeFileSync(join(group, 'freezer.state'), 'THAWED'); });
}

describe('what cannot be ended', () => {
  it('a ghost is never signalled; it makes the GPU dirty, which is reset when it is free, and then all is well', async () => {
    const scene = open({ gpus: 2 });
    const { host } = scene;
    const gone = await host.process();
    await gone.end();
    const second = await host.process();
    await second.end();
    host.listOn(0, gone, { ghost: true });
    host.listOn(1, second, { ghost: true });
    const holder = await engine().run({ name: 'holder', gpus: [scene.uuid(0)] });
    const run = await scene.pass(['release-stale']);
    expect(fateOf(run, gone.pid)).toEqual({ verdict: 'leave', reason: 'ghost', outcome: null });
    expect(host.world().resets.map(({ gpu }) => gpu)).toEqual([scene.uuid(1)]);
    expect(eventsOf(run, 'gpu.reset.done')).toMatchObject([{ 'gpu.uuid': scene.uuid(1), 'event.reason': 'dirty-ghost' }]);
    expect(eventsOf(run, 'gpu.reset.withheld')).toMatchObject([{ 'gpu.uuid': scene.uuid(0), 'event.reason': 'shared' }]);
    expect(deviceOf(run, scene.uuid(1))).toMatchObject({ verdict: 'clean', processes: [] });
    expect([deviceOf(run, scene.uuid(0)).verdict, run.exitCode]).toEqual(['dirty', 1]);
    await engine().rm(holder);
    const after = await scene.pass(['release-stale']);
    expect(host.world().resets.map(({ gpu }) => gpu)).toEqual([scene.uuid(1), scene.uuid(0)]);
    expect(after.exitCode).toBe(0);
  });

  it('a zombie that is listed is a finding, and keeps the GPU from a reset', async () => {
    const scene = open({ gpus: [SICK] });
    const zombie = await startUncollected(scene, { ended: true });
    scene.host.listOn(0, zombie, { listedAsZombie: true });
    const run = await scene.pass(['release-stale']);
    expect(fateOf(run, zombie.pid)).toEqual({ verdict: 'leave', reason: 'zombie', outcome: null });
    expect(run.report.findings.map(({ id }) => id)).toContain('process.zombie');
    expect([run.exitCode, changesIn(run.calls)]).toEqual([1, []]);
  });

  it.each([[true, 'failed', 4], [false, 'done', 0]] as const)('an orphan that is left as a zombie has survived only while it is listed (%s)', async (listedAsZombie, result, exit) => {
    const scene = open();
    const id = await scene.stopped({});
    const orphan = await startUncollected(scene, { ended: false, cgroup: `docker/${id}` });
    scene.host.listOn(0, orphan, { listedAsZombie });
    const run = await scene.pass(['release-stale']);
    expect(fateOf(run, orphan.pid)).toMatchObject({ verdict: 'act', outcome: { result, reason: listedAsZombie ? 'zombie' : null } });
    expect(eventsOf(run, listedAsZombie ? 'gpu.orphan.survived' : 'gpu.orphan.ended')).toHaveLength(1);
    expect([run.exitCode, processStat(orphan.pid)?.state]).toEqual([exit, 'Z']);
  });

  it.runIf(existsSync(FREEZER))('an orphan that outlives SIGKILL by 5 s has survived', async () => {
    const scene = open({ config: { orphans: { term_grace: '2s' } } });
    const orphan = await scene.orphan(0, { process: { ignoreTerm: true } });
    const running = scene.pass(['release-stale']);
    await until(() => isActing(scene.host));
    freeze(orphan.containerId);
    const run = await running;
    expect(processStat(orphan.pid)?.state).toBe('D');
    expect(fateOf(run, orphan.pid)).toMatchObject({ verdict: 'act', outcome: { result: 'failed', reason: 'stuck' } });
    expect(eventsOf(run, 'gpu.orphan.survived')).toMatchObject([{ 'process.pid': orphan.pid, 'event.reason': 'stuck', 'event.outcome': 'failure', 'log.level': 'error' }]);
    expect([run.exitCode, changesIn(run.calls)]).toEqual([4, []]);
  });

  it.runIf(existsSync(FREEZER))('an orphan in uninterruptible sleep on both looks is a critical finding and not signalled', async () => {
    const scene = open();
    const orphan = await scene.orphan(0);
    freeze(orphan.containerId);
    await until(() => processStat(orphan.pid)?.state === 'D');
    const run = await scene.pass(['release-stale']);
    expect(fateOf(run, orphan.pid)).toEqual({ verdict: 'leave', reason: 'stuck', outcome: null });
    expect(run.report.findings).toContainEqual(expect.objectContaining({ id: 'process.stuck', severity: 'critical' }));
    expect(run.exitCode).toBe(1);
    const pending = [...readFileSync(`/proc/${orphan.pid}/status`, 'utf8').matchAll(/^(?:SigPnd|ShdPnd):\t(\w+)$/gm)].map(([, signals = '']) => Number(`0x${signals}`));
    expect(pending).toEqual([0, 0]);
  });
});
