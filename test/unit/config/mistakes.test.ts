import { describe, expect, it } from 'vitest';
import { rawDefaults } from '../../../src/config/defaults.ts';
import { childrenOf, isTree } from '../../../src/config/merge.ts';
import { keyText } from '../../../src/config/mistake.ts';
import type { Value } from '../../../src/config/types.ts';
import { loadFiles, mistakesOf } from './helpers.ts';

/** A key, a value that it may not have, and a piece of the message. */
type Wrong = readonly [key: string, yaml: string, message: string];

const duration = (key: string): readonly Wrong[] => [
  [key, '30', 'has no unit'],
  [key, '0.5h', 'fraction'],
  [key, '-5m', 'negative'],
  [key, '5 minutes', 'is no duration'],
  [key, '[5m]', 'a list'],
  [key, '', 'nothing'],
];
const neverNever = (key: string): Wrong => [key, 'never', 'never is not possible'];
const list = (key: string): readonly Wrong[] => [[key, 'word', 'expected a list'], [key, '{}', 'expected a list'], [key, '', 'expected a list']];
const word = (key: string): readonly Wrong[] => [[key, 'other', 'expected'], [key, '1', 'expected'], [key, '', 'nothing']];

const wrongs: readonly Wrong[] = [
  ['version', '2', 'version 1 only'], ['version', '"1"', 'version 1 only'], ['version', '', 'version 1 only'],
  ['engine', 'docker', 'expected a map'], ['engine', '', 'expected a map'], ['engine', '[a]', 'expected a map'],
  ['engine.host', 'tcp://10.0.0.1:2375', 'must be a local one'], ['engine.host', 'ssh://root@gpu01', 'must be a local one'],
  ['engine.host', 'unix://run/docker.sock', 'unix:///path'], ['engine.host', '/run/docker.sock', 'unix:///path'], ['engine.host', '7', 'unix:///path'], ['engine.host', '', 'nothing'],
  ...duration('engine.timeout'), neverNever('engine.timeout'), ['engine.timeout', '0', 'too short'], ['engine.timeout', '1h', 'at most 5m'],
  ['nvidia_smi.path', './nvidia-smi', 'absolute path'], ['nvidia_smi.path', '3', 'absolute path'], ['nvidia_smi.path', '"a\\nb"', 'absolute path'],
  ...duration('nvidia_smi.timeout'), neverNever('nvidia_smi.timeout'), ['nvidia_smi.timeout', '0', 'too short'],
  ...['device', 'owner', 'type', 'protected', 'infrastructure'].flatMap((key) => [...list(`labels.${key}`), [`labels.${key}[0]`, '[3]', 'name of a label'] as const, [`labels.${key}[1]`, '[a, "b c"]', 'name of a label'] as const]),
  ...['images', 'names'].flatMap((key) => [...list(`infrastructure.${key}`), [`infrastructure.${key}[0]`, '[""]', 'the name of'] as const]),
  ...list('limits.trust_labels'), ['limits.trust_labels[1]', '[owner, protected]', 'owner or type'],
  ...['idle_timeout', 'max_runtime', 'gpu_hold_after_stop', 'container_hold_after_stop', 'stop_grace', 'keep_alive_max'].flatMap((key) => duration(`limits.default.${key}`)),
  ['limits.default.idle_timeout', '0', 'write never'], ['limits.default.max_runtime', '0', 'write never'],
  neverNever('limits.default.stop_grace'), ['limits.default.stop_grace', '0', 'too short'], ['limits.default.stop_grace', '6m', 'at most 5m'], neverNever('limits.default.keep_alive_max'),
  ['limits.default.idle_checks', '0', 'from 1'], ['limits.default.idle_checks', '2.5', 'whole number'], ['limits.default.idle_checks', '-1', 'whole number'], ['limits.default.idle_checks', '"3"', 'whole number'], ['limits.default.idle_checks', '.inf', 'whole number'],
  ['limits.default.idle_timout', '30m', 'did you mean idle_timeout?'],
  ['limits.types', '[]', 'expected a map'], ['limits.types.api', 'never', 'expected a map'], ['limits.types.api.idle_timeout', '5', 'has no unit'], ['limits.types.api.members', '[]', 'unknown key'], ['limits.types.9', '{}', 'is not a name'],
  ['limits.groups', '7', 'expected a map'], ['limits.groups.staff.members', 'alice', 'expected a list'], ['limits.groups.staff.members[0]', '["a b"]', 'user name'],
  ['limits.groups.staff.members_file', '3', 'path of a file'], ['limits.groups.staff.group', '"-x"', 'user name'], ['limits.groups.staff.member', '[]', 'did you mean members?'], ['limits.groups.staff.max_runtime', '48', 'has no unit'],
  ['limits.users', 'bob', 'expected a map'], ['limits.users.bob', '', 'expected a map'], ['limits.users.bob.idleTimeout', '2h', 'did you mean idle_timeout?'], ['limits.users.bob.idle_timeout', '2x', 'is no duration'],
  ['exemptions', '{}', 'expected a list'], ['exemptions', '', 'expected a list'],
  ['idle.gpu_percent', '5%', 'from 0 to 100'], ['idle.gpu_percent', '-1', 'from 0'], ['idle.gpu_percent', '101', 'to 100'], ['idle.gpu_percent', '.nan', 'expected a number'], ['idle.cpu_percent', '-1', 'from 0'], ['idle.cpu_percent', 'two', 'expected a number'],
  ['idle.network', '1048576', '1MiB'], ['idle.network', '1MB', '1MiB'], ['idle.network', '0MiB', '0 is not possible'],
  ...duration('idle.young_container_grace'), neverNever('idle.young_container_grace'),
  ['idle.high_demand', '80%', 'expected a map'], ['idle.high_demand.at', '80', '1% to 100%'], ['idle.high_demand.at', '0%', '1% to 100%'], ['idle.high_demand.factor', '2', 'to 1'], ['idle.high_demand.factor', '0', 'from 0.01'], ['idle.high_demand.factor', '50%', 'expected a number'],
  ...word('runtime.counts'),
  ...['idle', 'runtime'].flatMap((key): Wrong[] => [[`warnings.${key}`, '[80%]', 'final warning'], [`warnings.${key}`, '[95%, 80%]', 'first below'], [`warnings.${key}`, '[80%, 100%]', 'below 100%'], [`warnings.${key}`, '[80, 95]', 'final warning'], [`warnings.${key}`, '80%', 'this is "80%"'], [`warnings.${key}`, '[1%, 2%, 3%]', 'final warning']]),
  ...duration('leftovers.created_timeout'), ['leftovers.created_timeout', '0', 'write never'], ['leftovers.all', 'yes', 'true or false'], ['leftovers.all', '1', 'true or false'],
  ...['confirm_after', 'term_grace'].flatMap((key) => [...duration(`orphans.${key}`), neverNever(`orphans.${key}`), [`orphans.${key}`, '0', 'too short'] as const, [`orphans.${key}`, '6m', 'at most 5m'] as const]),
  ['orphans.host_processes', 'kill', 'expected report'], ['orphans.host_processes', '', 'nothing'],
  ...['users', 'units', 'names'].flatMap((key) => list(`orphans.permit.${key}`)),
  ['orphans.permit.users[0]', '[1000]', 'user name'], ['orphans.permit.units[0]', '[dcgm]', 'systemd unit'], ['orphans.permit.names[0]', '[""]', 'name of a program'], ['orphans.permit', 'all', 'expected a map'],
  ['dirty.memory', '1024', '1MiB'], ['dirty.memory', '0GiB', '0 is not possible'], ['dirty.memory', '-1GiB', '1MiB'],
  ...word('reset.policy'), ...duration('reset.cooldown'), neverNever('reset.cooldown'), ['reset.cooldown', '0', 'too short'], ['reset.max_per_day', '0', 'from 1'], ['reset.max_per_day', '3x', 'whole number'],
  ['reset.pause_services', 'x', 'expected a list'], ['reset.pause_services[0]', '[dcgm]', 'a systemd service'], ['reset.pause_services[0]', '["--now.service"]', 'a systemd service'], ['reset.pause_services[0]', '["a b.service"]', 'a systemd service'], ['reset.pause_services[1]', '[dcgm-exporter.service, docker.service]', 'cannot be paused'],
  ...['kills', 'stops', 'removals', 'releases', 'resets'].flatMap((key): Wrong[] => [[`breaker.${key}`, '-1', 'from 0'], [`breaker.${key}`, '20%', 'whole number'], [`breaker.${key}`, '1.5', 'whole number'], [`breaker.${key}`, '[1]', 'whole number'], [`breaker.${key}`, '[1, 2]', 'whole number'], [`breaker.${key}`, '[1, 2%, 3]', 'whole number'], [`breaker.${key}`, '', 'nothing']]),
  ['breaker.kills', '[20, 25%]', 'from 0 to 10000'], ['breaker.resets', '[2, 25%]', 'from 0 to 10000'],
  ...list('health.disable'), ['health.disable[0]', '[3]', 'id of a finding'], ['health.disable[1]', '[gpu.fault, gpu.falt]', 'did you mean gpu.fault?'], ['health.disable[0]', '[breaker.tripped]', 'id of a finding'], ['health.disable[0]', '[constructor]', 'id of a finding'], ['health.disable[0]', '[gpu.xid.x]', 'id of a finding'],
  ['health.thresholds', '[]', 'expected a map'], ['health.thresholds.temperature', '5', 'unknown key'],
  ...['release-stale', 'check-idle', 'enforce-runtime', 'cleanup-containers', 'sample'].flatMap((key): Wrong[] => [[`schedule.${key}`, '"5 * * *"', 'five fields'], [`schedule.${key}`, '"@hourly"', 'five fields'], [`schedule.${key}`, '"61 * * * *"', 'no cron expression'], [`schedule.${key}`, '"*/0 * * * *"', 'no cron expression'], [`schedule.${key}`, '"0 0 30 2 *"', 'never comes'], [`schedule.${key}`, '5', 'five fields'], [`schedule.${key}`, 'never', 'five fields']]),
  ['schedule.release-stail', '"5 * * * *"', 'did you mean release-stale?'],
  ...list('notify.owner'), ['notify.owner[0]', '[mail]', 'tty or container-file'], ['notify.admin', 'root', 'expected a list'],
  ['notify.admin[0]', '[root]', 'expected one of { webhook'], ['notify.admin[0]', '[{}]', 'expected one of { webhook'], ['notify.admin[0]', '[{ webhok: "https://example.org" }]', 'did you mean webhook?'],
  ['notify.admin[0]', '[{ mail: a@example.org, exec: /bin/true }]', 'expected one of { webhook'], ['notify.admin[0].webhook', '[{ webhook: "ftp://example.org" }]', 'a URL'], ['notify.admin[0].webhook', '[{ webhook: "https://exa mple.org" }]', 'a URL'],
  ['notify.admin[0].format', '[{ webhook: "https://example.org", format: teams }]', 'generic or slack'], ['notify.admin[0].to', '[{ webhook: "https://example.org", to: x }]', 'unknown key'],
  ['notify.admin[0].mail', '[{ mail: "Admin <a@example.org>" }]', 'mail address'], ['notify.admin[0].mail', '[{ mail: "a@example.org\\nBcc: b@example.org" }]', 'mail address'], ['notify.admin[0].mail', '[{ mail: "-x@-y" }]', 'mail address'],
  ['notify.admin[0].program', '[{ mail: a@example.org, program: sendmail }]', 'absolute path'], ['notify.admin[0].exec', '[{ exec: alert }]', 'absolute path'], ['notify.admin[0].exec', '[{ exec: [/bin/sh, -c, x] }]', 'absolute path'],
  ['notify.admin[1].exec', '[{ exec: /bin/true }, { exec: 3 }]', 'absolute path'], ...duration('notify.cooldown'), neverNever('notify.cooldown'),
  ['events.file', 'events.jsonl', 'absolute path'], ['events.file', '', 'nothing'], ['events.file', '/var/log/', 'absolute path'],
  ['metrics.textfile', '~/x.prom', 'absolute path'], ['metrics.textfile', '3', 'absolute path'],
  ['state.dir', 'lib', 'absolute path'], ['state.dir', '"/a\\u0007b"', 'absolute path'], ...duration('state.keep_samples'), neverNever('state.keep_samples'), ['state.keep_samples', '5m', 'at least 1h'],
  ['limit', '{}', 'did you mean limits?'], ['zebra', '1', 'known here: version, engine'],
];

/** One file in block style that sets this key alone; the key is on the last line, comments push it down. */
function fileWith(key: string, yaml: string): string {
  const path = key.replace(/\[\d+\].*$/, '').split('.');
  const opened = path.slice(0, -1).map((part, depth) => `${'  '.repeat(depth)}${part}:`);
  const line = `${'  '.repeat(path.length - 1)}${path.at(-1)}: ${yaml}`;
  return [...(key === 'version' ? [] : ['version: 1']), '# a comment', '', ...opened, line].join('\n');
}

describe('a value that a key may not have', () => {
  it.each(wrongs)('%s: %s is one mistake with file, line and key', async (key, yaml, message) => {
    const text = fileWith(key, yaml);
    const mistakes = await mistakesOf({ 'conf.d/50-site.yaml': text });
    expect(mistakes).toEqual([{ file: 'conf.d/50-site.yaml', line: text.split('\n').length, column: expect.any(Number), key, message: expect.stringContaining(message) }]);
  });

  it('was tried for every key that has a default', () => {
    const tried = new Set(wrongs.map(([key]) => key.replace(/\[\d+\].*$/, '')));
    expect(keysOf(rawDefaults, []).filter((key) => !tried.has(key) && !key.startsWith('limits.types.'))).toEqual([]);
  });
});

function keysOf(value: Value, path: readonly (string | number)[]): readonly string[] {
  if (!isTree(value) || Object.keys(value).length === 0) return [keyText(path)];
  return childrenOf(value).flatMap(([part, child]) => keysOf(child, [...path, part]));
}

describe('a file', () => {
  it.each([
    ['a duplicate key', 'version: 1\nidle: {}\nidle: {}\n', 3, 'set twice'],
    ['a tab as indentation', 'version: 1\nidle:\n\tgpu_percent: 5\n', 3, 'Tabs are not allowed'],
    ['an open bracket', 'version: 1\nlabels: { owner: [a\n', 3, 'bad YAML'],
    ['a second document', 'version: 1\n---\nversion: 1\n', 2, 'only one document'],
    ['an alias', 'version: 1\nlabels:\n  owner: &o [a]\n  type: *o\n', 4, 'aliases are not supported'],
    ['an alias of nothing', 'version: 1\nlabels: *o\n', 2, 'aliases are not supported'],
    ['a merge key', 'version: 1\nidle:\n  <<: { gpu_percent: 5 }\n', 3, 'merge keys are not supported'],
    ['a tag', 'version: 1\nidle:\n  gpu_percent: !number 5\n', 3, 'bad YAML'],
    ['another YAML', '%YAML 1.1\n---\nversion: 1\n', 1, 'not YAML 1.2'],
    ['a list at the top', '# list\n- version: 1\n', 2, 'expected a map'],
    ['a scalar at the top', 'version\n', 1, 'expected a map'],
    ['no version', 'idle: {}\n', 1, 'missing'],
    ['a map as key', 'version: 1\n? { a: 1 }\n: 2\n', 2, 'bad YAML'],
    ['__proto__', 'version: 1\nlimits:\n  users:\n    __proto__: { idle_timeout: never }\n', 4, 'cannot be a key'],
    ['10000 open brackets', `version: 1\nlabels: ${'['.repeat(10_000)}`, 2, 'nested too deeply'],
    ['40 nested maps', `version: 1\nlabels: ${'{ a: '.repeat(40)}1${'}'.repeat(40)}`, 2, 'nested too deeply'],
  ])('with %s is refused with its line', async (_, text, line, message) => {
    const mistakes = await mistakesOf({ 'config.yaml': text });
    expect(mistakes).toContainEqual(expect.objectContaining({ file: 'config.yaml', line, message: expect.stringContaining(message) }));
  });

  it.each([
    ['is larger than 1 MiB', `version: 1\n#${'x'.repeat(1024 * 1024)}`],
    ['is not UTF-8 text', Buffer.from([0x76, 0xff, 0xfe])],
  ])('that %s is refused as a whole', async (message, text) => {
    expect(await mistakesOf({ 'config.yaml': text })).toEqual([{ file: 'config.yaml', line: null, column: null, key: '', message }]);
  });

  it.each(['', '\n', '# only a comment\n', '---\n', '\uFEFF'])('without keys (%j) says nothing and needs no version', async (text) => {
    const loaded = await loadFiles({ 'config.yaml': text });
    expect(loaded.configured).toEqual({ limits: false, leftovers: false });
  });

  it('with 50000 unknown keys is refused in reasonable time, each key named', async () => {
    const text = `version: 1\n${Array.from({ length: 50_000 }, (_, index) => `k${index}: 1`).join('\n')}`;
    expect(await mistakesOf({ 'config.yaml': text })).toHaveLength(50_000);
  }, 20_000);
});

it('tells all mistakes of all files at once, by file and line', async () => {
  const mistakes = await mistakesOf({
    'config.yaml': 'version: 1\nreset: { cooldown: 6, policy: often }\nzebra: 1\nidle:\n  gpu_percent: five\n  unknown: 1\n  other: 2\n',
    'conf.d/10.yaml': 'events: { file: x }\n',
    'conf.d/20.yaml': 'version: 1\n\tx: 1\n',
  });
  expect(mistakes.map(({ file, line, key }) => `${file}:${line}:${key}`)).toEqual([
    'conf.d/10.yaml:1:version', 'conf.d/10.yaml:1:events.file', 'conf.d/20.yaml:2:',
    'config.yaml:2:reset.cooldown', 'config.yaml:2:reset.policy', 'config.yaml:3:zebra', 'config.yaml:5:idle.gpu_percent', 'config.yaml:6:idle.unknown', 'config.yaml:7:idle.other',
  ]);
});

it('a mistake in a value that a later file replaces is still a mistake', async () => {
  const mistakes = await mistakesOf({ 'config.yaml': 'version: 1\ndirty: { memory: 5 }\n', 'conf.d/a.yaml': 'version: 1\ndirty: { memory: 5GiB }\n' });
  expect(mistakes.map(({ file, key }) => [file, key])).toEqual([['config.yaml', 'dirty.memory']]);
});

it('hostile keys and values are shown escaped and clipped', async () => {
  const [mistake] = await mistakesOf({ 'config.yaml': `version: 1\nidle: { "\\e[2J\\nx": 1, network: "\\u202e${'y'.repeat(500)}" }\n` });
  expect(mistake?.key).toBe('idle."\\u001b[2J\\nx"');
  expect(JSON.stringify(mistake)).not.toContain('\u202e');
});
