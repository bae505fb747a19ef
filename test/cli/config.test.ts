import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Host } from '../hostsim/host.ts';
import { idOf, useEngine } from './fake-engine.ts';
import { eventsOf, useHost, USER } from './workbench.ts';

/** A host with an orphan, whose configuration file is this text. */
async function useConfig(text: string): Promise<{ host: Host; orphan: { isAlive(): boolean } }> {
  const host = useHost();
  await useEngine(host);
  const orphan = await host.process({ cgroup: `docker/${idOf('dead')}` });
  host.listOn(0, orphan);
  writeFileSync(host.configPath, text);
  return { host, orphan };
}

/** Mistakes of every kind, and where each is. */
const WRONG = (events: string): readonly (readonly [string, string])[] => [
  ['version: 1', ''],
  [`events: { file: ${events} }`, ''],
  ['engine: { timeout: 20 }', 'engine.timeout'],
  ['engnie: { timeout: 20s }', 'engnie'],
  ['limits:', ''],
  ['  default: { idle_timeout: 0.5h }', 'limits.default.idle_timeout'],
  ['  users: { bob: { max_runtime: yes please } }', 'limits.users.bob.max_runtime'],
  ['orphans: { confirm_after: never, host_processes: kill }', 'orphans.confirm_after'],
  ['dirty: { memory: lots }', 'dirty.memory'],
  ['reset: { policy: always, max_per_day: -1 }', 'reset.policy'],
  ['breaker: { kills: 1.5 }', 'breaker.kills'],
  ['schedule: { release-stale: "61 * * * *" }', 'schedule.release-stale'],
  ['nvidia_smi: nvidia-smi', 'nvidia_smi'],
];

describe('a configuration that is wrong in many ways', () => {
  it('is refused with every mistake at once, each with file, line and key; an event says so and nothing is done', async () => {
    const { host, orphan } = await useConfig('');
    const lines = WRONG(host.eventsPath);
    writeFileSync(host.configPath, lines.map(([line]) => line).join('\n'));
    const result = await host.gpuctl(['release-stale']);
    expect(result).toMatchObject({ exitCode: 2, stdout: '' });
    for (const [n, [, key]] of lines.entries()) {
      if (key !== '') expect(result.stderr).toMatch(new RegExp(`^(?:gpuctl: )?${host.configPath}:${n + 1}:\\d+: ${key.replaceAll('.', '\\.')}: .+$`, 'm'));
    }
    expect(result.stderr).toContain(`${host.configPath}:8:`);
    expect(result.stderr).toContain('orphans.host_processes');
    expect(result.stderr).toContain('reset.max_per_day');
    expect(result.stderr).toMatch(/did you mean engine\?/);
    expect(result.stderr).toMatch(/\n {2}hint: nothing was done; [^\n]*gpuctl config check\n$/);
    const { json, exitCode } = await host.gpuctl(['config', 'check', '--json']);
    expect([exitCode, json]).toMatchObject([2, { schema: 1, valid: false, mistakes: expect.arrayContaining([{ file: host.configPath, line: 4, column: 1, key: 'engnie', message: 'unknown key; did you mean engine?' }]) as unknown }]);
    expect((json as { readonly mistakes: readonly unknown[] }).mistakes).toHaveLength(12);
    const rejected = eventsOf(result.events, 'config.rejected');
    expect(rejected).toHaveLength(1);
    expect(rejected[0]?.['gpuctl.mistakes']).toHaveLength(12);
    expect([host.calls(), orphan.isAlive(), readdirSync(host.stateDir)]).toEqual([[], true, []]);
  });

  it.each(['status', 'health-check', 'free', 'allocations', 'config check', 'config show', 'sample', 'run-all'])('is refused by %s as well', async (line) => {
    const host = useHost();
    writeFileSync(host.configPath, `version: 1\nevents: { file: ${host.eventsPath} }\nengine: { timeout: 20 }\n`);
    const result = await host.gpuctl(line.split(' '));
    expect(result).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringContaining(':3:') as string });
  });

  it.each([
    ['is no YAML', 'version: 1\nengine: { timeout: 20s\n', /:\d+:\d+: /],
    ['says nothing of its version', 'engine: { timeout: 20s }\n', /version: missing/],
    ['has a version of the future', 'version: 2\n', /version: /],
    ['names a key twice', 'version: 1\nidle: { gpu_percent: 5 }\nidle: { gpu_percent: 6 }\n', /:3:\d+: /],
    ['names an engine of another machine', 'version: 1\nengine: { host: "tcp://10.0.0.1:2375" }\n', /engine\.host/],
    ['holds bytes that are no text', '\u0000\u0001\n', /./],
  ])('(it %s) nothing is done', async (_, text, message) => {
    const { host, orphan } = await useConfig(text);
    const result = await host.gpuctl(['release-stale']);
    expect(result).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringMatching(message) as string });
    expect([host.calls(), orphan.isAlive()]).toEqual([[], true]);
  });
});

describe('a user whose processes are permitted', () => {
  it('must be one of this host, which config check says as well; one of a directory service is named by uid', async () => {
    const host = useHost({ config: { orphans: { permit: { users: ['root', 'nosuchuser'] } } } });
    for (const command of [['config', 'check'], ['release-stale'], ['status']]) {
      const result = await host.gpuctl(command);
      expect(result).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringMatching(/config\.yaml:\d+:\d+: orphans\.permit\.users\[1\]: there is no user "nosuchuser" on this host; .* write the uid, in quotes\n/) as string });
      expect(eventsOf(result.events, 'config.rejected')).toHaveLength(1);
    }
    host.configure({ orphans: { permit: { users: ['root', '64123'] } } });
    expect(await host.gpuctl(['config', 'check'])).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await host.gpuctl(['release-stale', '--dry-run'])).toMatchObject({ exitCode: 3 });
  });
});

describe('a configuration that somebody else may have written', () => {
  const ways: readonly (readonly [string, RegExp, (host: Host) => void])[] = [
    ['anybody may write it', /others than root may write/, (host) => { chmodSync(host.configPath, 0o666); }],
    ['its group may write it', /others than root may write/, (host) => { chmodSync(host.configPath, 0o660); }],
    ['it belongs to a user', /belongs to uid 64123/, (host) => { chownSync(host.configPath, USER, USER); }],
    ['anybody may write to its folder', /others than root may write/, (host) => { chmodSync(host.dir, 0o777); }],
    ['it is a link that a user made', /belongs to uid|is a link/, (host) => {
      rmSync(host.configPath);
      mkdirSync(join(host.dir, 'home'));
      writeFileSync(join(host.dir, 'home', 'mine.yaml'), 'version: 1\n');
      chownSync(join(host.dir, 'home', 'mine.yaml'), USER, USER);
      symlinkSync(join(host.dir, 'home', 'mine.yaml'), host.configPath);
    }],
    ['it is a folder', /./, (host) => { rmSync(host.configPath); mkdirSync(host.configPath); }],
    ['it does not exist', /does not exist/, (host) => { rmSync(host.configPath); }],
  ];
  it.each(ways)('(%s) is refused', async (_, message, spoil) => {
    const host = useHost();
    await useEngine(host);
    spoil(host);
    // The event would go to the default file, which is the machine's own.
    const result = await host.gpuctl(['release-stale', '--dry-run']);
    expect(result).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringMatching(message) as string });
    expect(result.stderr).toContain(host.configPath);
    expect(host.calls()).toEqual([]);
  });
});

describe('a configuration that is good', () => {
  it('is said to be so', async () => {
    const host = useHost();
    expect(await host.gpuctl(['config', 'check'])).toMatchObject({ exitCode: 0, stdout: `${host.configPath}: no mistakes\n`, stderr: '' });
    expect((await host.gpuctl(['config', 'check', '--json'])).json).toEqual({ schema: 1, valid: true, sources: [host.configPath], warnings: [] });
  });

  it('is shown with the origin of every value, as a whole and for one owner or container', async () => {
    const host = useHost({ config: { limits: { users: { bob: { idle_timeout: '10m' } } } } });
    const engine = await useEngine(host);
    engine.containers.push({ id: idOf('b0b'), name: 'bobs', labels: { 'gpuctl.owner': 'bob' } });
    const whole = await host.gpuctl(['config', 'show']);
    expect(whole.stdout).toMatch(/^orphans\.confirm_after +1s +\S+config\.yaml:\d+$/m);
    expect(whole.stdout).toMatch(/^reset\.cooldown +6h +default$/m);
    for (const which of [['--user', 'bob'], ['--container', 'bobs'], ['--container', idOf('b0b')]]) {
      expect((await host.gpuctl(['config', 'show', ...which])).stdout).toMatch(/^idle_timeout +10m +user bob/m);
    }
    expect((await host.gpuctl(['config', 'show', '--json'])).json).toMatchObject({ schema: 1, sources: [host.configPath], subject: null });
    expect(await host.gpuctl(['config', 'show', '--container', 'nobody'])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('there is no container "nobody"') as string });
  });

  it('begins with the file that config init prints, which is valid and changes nothing', async () => {
    const host = useHost();
    const printed = await host.gpuctl(['config', 'init']);
    expect(printed).toMatchObject({ exitCode: 0, stderr: '' });
    writeFileSync(host.configPath, printed.stdout);
    expect(await host.gpuctl(['config', 'check'])).toMatchObject({ exitCode: 0 });
  });

  it('may have an exemption that is malformed: that one alone does not count, and is told', async () => {
    const host = useHost({ config: { exemptions: [{ user: 'carol', from: ['idle_timeout'], reason: 'thesis', until: 'soon' }] } });
    const result = await host.gpuctl(['config', 'check']);
    expect(result).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/gpuctl: warning: .*exemptions\[0\]\.until: this exemption does not count/) as string, stdout: expect.stringMatching(/: no mistakes, 1 warning\n$/) as string });
  });
});
