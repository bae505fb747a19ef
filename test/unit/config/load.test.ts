import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { ConfigError } from '../../../src/config/mistake.ts';
import { folderWith, loadFiles, loadFolder, loadText, mistakesOf, refusal } from './helpers.ts';

describe('without a file', () => {
  it('the configuration is the defaults, and neither limits nor leftovers are configured', async () => {
    const loaded = await loadFiles({});
    expect(loaded.config).toEqual(defaultConfig());
    expect(loaded).toMatchObject({ sources: [], configured: { limits: false, leftovers: false }, warnings: [] });
  });

  it('that --config names, it is refused', async () => {
    const folder = folderWith({});
    expect(await refusal(folder, () => loadConfig({ file: join(folder, 'mine.yaml') }))).toEqual([{ file: 'mine.yaml', line: null, column: null, key: '', message: 'does not exist' }]);
  });
});

it('the defaults are those of the contract', () => {
  const minute = 60_000;
  expect(defaultConfig()).toMatchObject({
    engine: { host: null, timeoutMs: 20_000 },
    nvidiaSmi: { path: 'nvidia-smi', timeoutMs: minute },
    limits: {
      trustLabels: [],
      default: {
        idleTimeoutMs: 30 * minute, maxRuntimeMs: 1440 * minute, gpuHoldAfterStopMs: 15 * minute, containerHoldAfterStopMs: 30 * minute,
        stopGraceMs: minute, idleChecks: 3, keepAliveMaxMs: 1440 * minute,
      },
      types: { api: { idleTimeoutMs: null, gpuHoldAfterStopMs: 0 }, devcontainer: { maxRuntimeMs: 168 * 60 * minute }, orchestration: { gpuHoldAfterStopMs: 0 } },
      groups: [], users: {},
    },
    exemptions: [],
    idle: { gpuPercent: 5, cpuPercent: 2, networkBytes: 1_048_576, youngContainerGraceMs: 30 * minute, highDemand: { atPercent: 80, factor: 0.5 } },
    orphans: { confirmAfterMs: 2000, termGraceMs: 10_000, hostProcesses: 'report' },
    dirty: { memoryMiB: 1024 },
    reset: { policy: 'when-dirty', cooldownMs: 360 * minute, maxPerDay: 3, pauseServices: [] },
    breaker: { kills: { count: 20, sharePercent: null }, stops: { count: 10, sharePercent: 25 }, releases: { count: 20, sharePercent: 50 }, resets: { count: 2, sharePercent: null } },
    state: { dir: '/var/lib/gpuctl', keepSamplesMs: 720 * 60 * minute },
  });
});

describe('several files', () => {
  it('merge maps key by key and replace lists, conf.d in lexical order after config.yaml', async () => {
    const loaded = await loadFiles({
      'config.yaml': 'version: 1\nidle: { gpu_percent: 10, cpu_percent: 3 }\nlabels: { owner: [a, b] }\n',
      'conf.d/20.yaml': 'version: 1\nidle: { gpu_percent: 30 }\n',
      'conf.d/10.yaml': 'version: 1\nidle: { gpu_percent: 20, network: 2MiB }\nlabels: { owner: [c] }\n',
    });
    expect(loaded.config.idle).toMatchObject({ gpuPercent: 30, cpuPercent: 3, networkBytes: 2_097_152, youngContainerGraceMs: 1_800_000 });
    expect(loaded.config.labels).toMatchObject({ owner: ['c'], type: defaultConfig().labels.type });
    expect(loaded.sources.map((file) => file.split('/').slice(-1)[0])).toEqual(['config.yaml', '10.yaml', '20.yaml']);
  });

  it('are known by their lines: each key has the origin of the last file that sets it', async () => {
    const { originOf } = await loadFiles({
      'config.yaml': 'version: 1\nidle:\n  gpu_percent: 10\n  cpu_percent: 3\nlabels: { owner: [a, b] }\n',
      'conf.d/10.yaml': 'version: 1\nidle:\n\n  gpu_percent: 20\nlabels:\n  owner: [c]\n',
    });
    expect(originOf('idle.gpu_percent')).toMatchObject({ file: expect.stringMatching(/conf\.d\/10\.yaml$/), line: 4 });
    expect(originOf('idle.cpu_percent')).toMatchObject({ file: expect.stringMatching(/config\.yaml$/), line: 4 });
    expect([originOf('idle.network'), originOf('labels.owner[1]')]).toEqual([null, null]);
  });

  it('with --config, that file alone counts', async () => {
    const folder = folderWith({ 'config.yaml': 'version: 1\ndirty: { memory: 2GiB }\n', 'conf.d/a.yaml': 'version: 1\nidle: { gpu_percent: 9 }\n', 'mine.yaml': 'version: 1\n' });
    const places = { file: join(folder, 'mine.yaml'), defaultFile: join(folder, 'config.yaml'), confDir: join(folder, 'conf.d') };
    expect((await loadConfig(places)).config).toEqual(defaultConfig());
  });

  it('hidden files and editor backups are not read; a .yml is not either, but that is told', async () => {
    const loaded = await loadFiles({ 'conf.d/.a.yaml': '[', 'conf.d/a.yaml~': '[', 'conf.d/a.yaml.bak': '[', 'conf.d/b.yml': '[' });
    expect(loaded.sources).toEqual([]);
    expect(loaded.warnings).toEqual([expect.objectContaining({ file: expect.stringMatching(/b\.yml$/), message: expect.stringContaining('does not end in .yaml') })]);
  });

  it('a conf.d that is a file is refused', async () => {
    expect(await mistakesOf({ 'conf.d': 'version: 1' })).toEqual([expect.objectContaining({ file: expect.stringMatching(/conf\.d$/), message: expect.stringContaining('ENOTDIR') })]);
  });

  it('a link to nothing is no absent file', async () => {
    const folder = folderWith({});
    symlinkSync('nowhere', join(folder, 'config.yaml'));
    expect(await refusal(folder, () => loadFolder(folder))).toEqual([expect.objectContaining({ file: 'config.yaml', message: 'is a link to nothing' })]);
  });

  it('a folder in place of a file is refused', async () => {
    const folder = folderWith({});
    mkdirSync(join(folder, 'config.yaml'));
    expect(await refusal(folder, () => loadFolder(folder))).toEqual([expect.objectContaining({ file: 'config.yaml', message: 'is not a regular file' })]);
  });
});

describe('configured', () => {
  it.each([
    ['limits: { default: { idle_timeout: 1h } }', { limits: true, leftovers: false }],
    ['leftovers: { all: false }', { limits: false, leftovers: true }],
    ['idle: { gpu_percent: 5 }', { limits: false, leftovers: false }],
  ])('after %s is %j', async (text, configured) => {
    expect((await loadText(text)).configured).toEqual(configured);
  });

  it('is also what a file in conf.d says', async () => {
    expect((await loadFiles({ 'conf.d/a.yaml': 'version: 1\nlimits: { users: {} }' })).configured.limits).toBe(true);
  });
});

describe('an exemption', () => {
  const good = '{ user: carol, from: [idle_timeout], reason: thesis deadline, until: 2026-12-24 }';
  const trust = 'limits: { trust_labels: [owner] }\n';

  it('lasts to the end of its last day, in the time zone of the host', async () => {
    const { config, warnings } = await loadText(`${trust}exemptions: [${good}]`);
    expect(config.exemptions).toEqual([{ user: 'carol', from: ['idle_timeout'], reason: 'thesis deadline', untilAt: new Date(2026, 11, 25).getTime() }]);
    expect(warnings).toEqual([]);
  });

  it.each([
    ['{ user: dave, from: [idle_timeout], reason: x, until: 2026-02-30 }', 'exemptions[1].until', 'no day of the calendar'],
    ['{ user: dave, from: [idle_timeout], reason: x, until: tomorrow }', 'exemptions[1].until', 'a date such as'],
    ['{ user: dave, from: [idle_timeout], reason: x }', 'exemptions[1].until', 'missing'],
    ['{ user: dave, from: [gpu_hold_after_stop], reason: x, until: 2026-12-24 }', 'exemptions[1].from[0]', 'idle_timeout or max_runtime'],
    ['{ user: "a b", from: [idle_timeout], reason: x, until: 2026-12-24 }', 'exemptions[1].user', 'user name'],
    ['{ user: dave, from: [idle_timeout], reason: "", until: 2026-12-24 }', 'exemptions[1].reason', 'a reason'],
    ['{ user: dave, form: [idle_timeout], from: [], reason: x, until: 2026-12-24 }', 'exemptions[1].form', 'did you mean from?'],
    ['carol', 'exemptions[1]', 'expected a map'],
    ['null', 'exemptions[1]', 'expected a map'],
  ])('that is malformed (%s) affects only itself, and is told with its line', async (bad, key, message) => {
    const { config, warnings } = await loadText(`${trust}exemptions:\n  - ${good}\n  - ${bad}\n  - { user: erin, from: [max_runtime], reason: x, until: "2026-12-31" }\n`);
    expect(config.exemptions.map(({ user }) => user)).toEqual(['carol', 'erin']);
    expect(warnings).toEqual([expect.objectContaining({ file: expect.stringMatching(/config\.yaml$/), line: 5, key, message: expect.stringContaining(message) })]);
  });
});

describe('the members of a group', () => {
  it('are those of the list and those of the file, which is relative to the file that names it', async () => {
    const { config } = await loadFiles({
      'conf.d/groups.yaml': 'version: 1\nlimits: { groups: { researcher: { members: [alice], members_file: lists/r.members, max_runtime: 48h } } }\n',
      'conf.d/lists/r.members': '# staff\nbob   # since 2024\n\n\tcarol\r\n',
    });
    expect(config.limits.groups).toEqual([{ name: 'researcher', members: ['alice', 'bob', 'carol'], unixGroup: null, limits: { maxRuntimeMs: 172_800_000 } }]);
  });

  it('a name that is none is told with the line of the members file', async () => {
    const mistakes = await mistakesOf({ 'config.yaml': 'version: 1\nlimits: { groups: { r: { members_file: r.members } } }\n', 'r.members': 'bob\nal ice\n$(id)\n' });
    expect(mistakes).toEqual([
      { file: 'r.members', line: 2, column: 1, key: '', message: expect.stringContaining('"al ice" is not a user name') },
      { file: 'r.members', line: 3, column: 1, key: '', message: expect.stringContaining('"$(id)" is not a user name') },
    ]);
  });

  it('a missing file is a mistake of the key that names it', async () => {
    expect(await mistakesOf({ 'config.yaml': 'version: 1\nlimits:\n  groups:\n    r:\n      members_file: r.members\n' })).toEqual([
      { file: 'config.yaml', line: 5, column: 7, key: 'limits.groups.r.members_file', message: expect.stringContaining('r.members does not exist') },
    ]);
  });

  it('a group without any is a mistake', async () => {
    expect(await mistakesOf({ 'config.yaml': 'version: 1\nlimits:\n  groups:\n    r: { max_runtime: 48h }\n' })).toEqual([
      expect.objectContaining({ line: 4, key: 'limits.groups.r', message: expect.stringContaining('nobody belongs') }),
    ]);
  });

  it('groups keep the order of the files', async () => {
    const { config } = await loadFiles({
      'config.yaml': 'version: 1\nlimits: { groups: { zeta: { members: [a] }, alpha: { group: staff } } }\n',
      'conf.d/a.yaml': 'version: 1\nlimits: { groups: { beta: { members: [b] }, zeta: { max_runtime: 2h } } }\n',
    });
    expect(config.limits.groups.map(({ name }) => name)).toEqual(['zeta', 'alpha', 'beta']);
    expect(config.limits.groups[0]).toMatchObject({ members: ['a'], limits: { maxRuntimeMs: 7_200_000 } });
  });
});

it('a setting that can have no effect, as nobody trusts the labels it needs, is told', async () => {
  const text = 'limits:\n  users:\n    bob: { idle_timeout: 2h, max_runtime: 1h }\n  types:\n    batch: { idle_timeout: never }\n';
  expect((await loadText(text)).warnings.map(({ line, key }) => [line, key])).toEqual([[6, 'limits.types.batch.idle_timeout'], [4, 'limits.users.bob.idle_timeout']]);
  expect((await loadText(`${text}  trust_labels: [owner, type]\n`)).warnings).toEqual([]);
});

it('a refusal is one error of exit 2 whose message lists every mistake as file:line:column: key: text', async () => {
  const folder = folderWith({ 'config.yaml': 'version: 1\ndirty: { memory: 1 }\nzebra: 2\n' });
  const error: unknown = await loadFolder(folder).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ConfigError);
  expect(error).toMatchObject({ code: 'config-invalid', exitCode: 2 });
  expect((error as Error).message.split('\n')).toEqual([
    expect.stringMatching(/config\.yaml:2:10: dirty\.memory: a size is/),
    expect.stringMatching(/config\.yaml:3:1: zebra: unknown key/),
  ]);
});
