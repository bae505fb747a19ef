import { once } from 'node:events';
import { createServer } from 'node:http';
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Host } from '../hostsim/host.ts';
import { idOf, useEngine, type FakeEngine } from './fake-engine.ts';
import { eventsOf, useHost } from './workbench.ts';

const [A, B] = [idOf('aa01'), idOf('bb02')];

/** Two containers on one GPU: a conflict, which is an alert. */
async function useConflict(admin: readonly unknown[]): Promise<{ readonly host: Host; readonly engine: FakeEngine }> {
  const host = useHost({ gpus: 2 });
  const gpus = [host.gpu(0).uuid];
  const engine = await useEngine(host, [{ id: A, name: 'train', gpus, labels: { 'gpuctl.owner': 'games' } }, { id: B, name: 'eval', gpus }]);
  host.configure({ engine: { host: `unix://${engine.socketPath}`, timeout: '1s' }, notify: { admin } });
  return { host, engine };
}

async function receiver(status: number | null): Promise<{ readonly url: string; readonly bodies: string[] }> {
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => { body += chunk.toString(); });
    request.on('end', () => { bodies.push(body); if (status !== null) response.writeHead(status).end(); });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => { server.closeAllConnections(); server.close(); });
  const address = server.address();
  return { url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`, bodies };
}

function script(host: Host, name: string, text: string): string {
  const path = join(host.dir, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** A pass that raises an alert for sure: half of the driver's answer is missing. */
function breakDriver(host: Host): void {
  host.removeSmi();
}

describe('alerts of a pass', () => {
  it('go to every sink, once in the cool-down, and a dry run tells nobody', async () => {
    const hook = await receiver(200);
    const { host } = await useConflict([]);
    const mail = join(host.dir, 'mail');
    const input = join(host.dir, 'input');
    host.configure({ notify: { admin: [{ webhook: hook.url }, { mail: 'admin@example.org', program: script(host, 'sendmail', `cat > '${mail}'`) }, { exec: script(host, 'alert', `cat > '${input}'`) }] } });
    breakDriver(host);
    await host.gpuctl(['release-stale', '--dry-run']);
    await host.gpuctl(['status']);
    expect([hook.bodies.length, existsSync(mail), existsSync(input)]).toEqual([0, false, false]);
    const { events } = await host.gpuctl(['release-stale']);
    expect(eventsOf(events, 'notify.failed')).toEqual([]);
    expect(JSON.parse(hook.bodies[0] ?? '')).toMatchObject({ schema: 1, alerts: expect.arrayContaining([expect.objectContaining({ 'event.action': 'observe.failed', 'gpuctl.source': 'nvidia-smi' })]) });
    expect(readFileSync(mail, 'utf8')).toMatch(/^To: admin@example\.org\nSubject: gpuctl on /);
    expect(readFileSync(input, 'utf8')).toContain('"event.action":"observe.failed"');
    await host.gpuctl(['release-stale']);
    expect(hook.bodies).toHaveLength(1);
  });

  it('keep nobody waiting: sinks that hang or fail are events, after the report and the lock are done with', async () => {
    const [dead, sick, well] = [await receiver(null), await receiver(500), await receiver(200)];
    const { host } = await useConflict([]);
    host.configure({ notify: { admin: [{ webhook: dead.url }, { webhook: sick.url }, { exec: script(host, 'sleeper', 'exec sleep 100') }, { webhook: well.url, format: 'slack' }] } });
    breakDriver(host);
    const running = host.startGpuctl(['release-stale', '--json']);
    let shown = '';
    while (!shown.trimEnd().endsWith('}')) shown += String((await once(running.child.stdout ?? running.child, 'data'))[0]);
    const second = await host.gpuctl(['sample']);
    expect(second.exitCode, 'the lock is free while sinks are waited for').not.toBe(75);
    const began = performance.now();
    const { exitCode, events } = await running.done;
    expect(performance.now() - began).toBeLessThan(12_000);
    expect(exitCode).toBe(3);
    expect(eventsOf(events, 'notify.failed').map((event) => String(event['message'])).filter((message) => message.includes('webhook')).length).toBeGreaterThanOrEqual(2);
    expect(eventsOf(events, 'notify.failed').map((event) => event['event.reason'])).toEqual(expect.arrayContaining(['exec', 'webhook']));
    expect(well.bodies.length).toBeGreaterThanOrEqual(1);
    expect(JSON.parse(well.bodies[0] ?? '')).toMatchObject({ text: expect.stringContaining('observe.failed') });
  });

  it('that a killed pass had not told yet are told by the next one, with their instant, though all is well again', async () => {
    const dead = await receiver(null);
    const { host, engine } = await useConflict([]);
    const input = join(host.dir, 'input');
    const tell = (sink: object): void => { host.configure({ engine: { host: `unix://${engine.socketPath}` }, notify: { admin: [sink] } }); };
    tell({ webhook: dead.url });
    const smi = join(host.dir, 'bin', 'nvidia-smi');
    renameSync(smi, `${smi}.away`);
    const running = host.startGpuctl(['sample']);
    while (dead.bodies.length === 0) await setTimeout(10);
    running.child.kill('SIGKILL');
    await running.done;
    renameSync(`${smi}.away`, smi);
    tell({ exec: script(host, 'alert', `cat >> '${input}'`) });
    await host.gpuctl(['sample']);
    const failed = eventsOf(host.events(), 'observe.failed');
    const lines = readFileSync(input, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(failed).toHaveLength(1);
    expect(lines.filter((line) => line['event.action'] === 'observe.failed')).toMatchObject([{ 'gpuctl.pass': failed[0]?.['gpuctl.pass'] }]);
    await host.gpuctl(['sample']);
    expect(readFileSync(input, 'utf8').trimEnd().split('\n')).toHaveLength(lines.length);
  });

  it('never run a program that somebody else may have written', async () => {
    const { host } = await useConflict([]);
    const ran = join(host.dir, 'ran');
    const program = script(host, 'open', `touch '${ran}'`);
    chmodSync(program, 0o777);
    host.configure({ notify: { admin: [{ exec: program }] } });
    breakDriver(host);
    const { events } = await host.gpuctl(['release-stale']);
    expect(eventsOf(events, 'notify.failed')).toMatchObject([{ message: expect.stringContaining('others than root may write') }]);
    expect(existsSync(ran)).toBe(false);
  });
});

describe('gpuctl explain', () => {
  it('tells of a container its limits with their origin, what is to come, and what each rule says and would need', async () => {
    const { host, engine } = await useConflict([]);
    host.configure({ engine: { host: `unix://${engine.socketPath}`, timeout: '1s' }, limits: { users: { games: { idle_timeout: '20m' } } } });
    await host.gpuctl(['sample']);
    const { stdout, exitCode } = await host.gpuctl(['explain', 'train']);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^container train \(running\) on .*; owner games by label, type unknown$/m);
    expect(stdout).toMatch(/^ {2}idle_timeout +20m +user games \(.*config\.yaml:\d+\)$/m);
    expect(stdout).toMatch(/runtime-stop +at the earliest \d{4}-/);
    expect(stdout).toMatch(/release .*\? no: the container runs \[still-running\]/);
    expect(stdout).toContain('changes if');
    const { json } = await host.gpuctl(['explain', A, '--json']);
    expect(json).toMatchObject({ schema: 1, subject: { kind: 'container', id: A, owner: 'games', owner_by: 'label' }, limits: expect.arrayContaining([expect.objectContaining({ key: 'idle_timeout', from: 'user games' })]) });
  });

  it('tells of a device every blocker of its reset, and of a process whose it is', async () => {
    const host = useHost({ gpus: [{ recovery: 'Reset' }], driver: '590.48.01' });
    await useEngine(host, [{ id: A, name: 'train', gpus: [host.gpu(0).uuid] }]);
    const stray = await host.process();
    host.listOn(0, stray);
    const device = await host.gpuctl(['explain', '0']);
    expect(device.stdout).toMatch(/^Checks\n +GPU 0: \d+ checks ok, 1 with a finding\n(?: .*\n)* +learning \(/m);
    expect(device.stdout).toMatch(/reset\? called for, but refused: .*\[blocked\]/);
    expect(device.stdout).toMatch(/blocker +container train \(running\) claims it/);
    expect(device.stdout).toMatch(/blocker +process \d+ is on it/);
    const process = await host.gpuctl(['explain', String(stray.pid)]);
    expect(process.stdout).toMatch(new RegExp(`^process ${stray.pid} on `));
    expect(process.stdout).toContain(`kill process ${stray.pid}? no:`);
    expect(stray.isAlive()).toBe(true);
    expect(host.events()).toEqual([]);
  });

  it('of what is not there says so', async () => {
    const { host } = await useConflict([]);
    for (const nothing of ['nobody', '4194303', '9999999999']) expect(await host.gpuctl(['explain', nothing])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('no device, container or process') });
    expect(await host.gpuctl(['explain', String(process.pid)])).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('No rule has anything to say about it: no device that was seen lists it.') });
  });
});

describe('gpuctl history', () => {
  it('tells acts with what became of them and who held what, newest last, and filters', async () => {
    const { host, engine } = await useConflict([]);
    await host.gpuctl(['release-stale']);
    engine.containers.shift();
    await host.gpuctl(['release-stale']);
    const all = (await host.gpuctl(['history', '--json'])).json as readonly Record<string, unknown>[];
    expect(all.map((row) => row['what'])).toEqual(['saw a device held', 'saw a device held', 'released a device']);
    expect(all.at(-1)).toMatchObject({ result: 'done', reason: 'gone', why: 'the container is gone; released', job: 'release-stale', container: { id: A, name: 'train' }, owner: 'games' });
    const count = async (...filter: string[]): Promise<number> => ((await host.gpuctl(['history', '--json', ...filter])).json as unknown[]).length;
    expect([await count('--container', 'train'), await count('--user', 'games'), await count('--device', host.gpu(1).uuid), await count('--device', host.gpu(0).uuid)]).toEqual([2, 2, 0, 3]);
    expect((await host.gpuctl(['history'])).stdout).toMatch(/^UTC +JOB +WHAT/);
    expect(await host.gpuctl(['history', '--device', '0']), 'an index may be another device’s by now').toMatchObject({ exitCode: 2, stderr: expect.stringContaining('by UUID') });
    expect(await host.gpuctl(['history', '--since', '5'])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('has no unit') });
  });

  it('tells a process that was ended by the name of its container, and why', async () => {
    const { host, engine } = await useConflict([]);
    await host.gpuctl(['sample']);
    engine.containers.shift();
    host.listOn(0, await host.process({ cgroup: `docker/${A}` }));
    await host.gpuctl(['release-stale']);
    const rows = (await host.gpuctl(['history', '--json', '--container', 'train'])).json as readonly Record<string, unknown>[];
    expect(rows.find(({ what }) => what === 'ended a process')).toMatchObject({ result: 'done', reason: 'orphan-container-gone', why: 'its container is gone from the engine that ran it; it has ended', container: { id: A, name: 'train' }, owner: 'games' });
  });

  it('without a ledger has nothing to tell', async () => {
    const { host } = await useConflict([]);
    expect(await host.gpuctl(['history'])).toMatchObject({ exitCode: 0, stdout: 'Nothing in that time.\n' });
  });
});
