import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import { isInfrastructure, isProtected, ownerOf, typeOf } from '../../../src/config/owner.ts';
import { observationFindings } from '../../../src/decide/findings.ts';
import { policyOf } from '../../property/rules.ts';
import { assessed, runningJob } from '../decide/good-case.ts';
import { container } from './helpers.ts';

const config = defaultConfig();
const users = new Map([[1001, 'dora'], [1002, 'bad name'], [0, 'root']]);
const userName = (uid: number) => users.get(uid) ?? null;
const owner = (changed: Parameters<typeof container>[0]) => ownerOf(container(changed), config, userName);

describe('the owner of a container', () => {
  it('is the first configured label, before everything else', () => {
    const labels = { 'aime.mlc.USER': 'late', 'ds01.user': 'early', 'devcontainer.local_folder': '/home/other/x' };
    expect(owner({ labels, name: 'x._.1001', bindSources: ['/home/erin'] })).toEqual({ owner: 'early', source: 'label' });
  });

  it('is else the folder of the devcontainer, then the uid in the name, then the home that is mounted', () => {
    const name = 'torch._.1001';
    expect(owner({ labels: { 'devcontainer.local_folder': '/home/other/x' }, name })).toEqual({ owner: 'other', source: 'devcontainer' });
    expect(owner({ name, bindSources: ['/home/erin'] })).toEqual({ owner: 'dora', source: 'name' });
    expect(owner({ bindSources: ['/data', '/home/erin/work', '/home/erin'] })).toEqual({ owner: 'erin', source: 'home-mount' });
  });

  it.each([
    ['nothing says', {}],
    ['the home of two users is mounted', { bindSources: ['/home/erin', '/home/dora/x'] }],
    ['all homes are mounted', { bindSources: ['/home', '/home/', '/'] }],
    ['a path climbs out of a home', { bindSources: ['/home/erin/../../etc'] }],
    ['the folder is not a home', { labels: { 'devcontainer.local_folder': 'C:\\home\\x' } }],
    ['the uid is of nobody', { name: 'x._.4242' }],
    ['the name of the uid is none', { name: 'x._.1002' }],
    ['the uid is too long', { name: 'x._.10011001100' }],
    ['the uid is not at the end', { name: 'x._.1001.y' }],
  ])('is unknown where %s', (_, changed) => {
    expect(owner(changed)).toEqual({ owner: null, source: null });
  });

  it.each(['', '$(id)', "a'b", 'a b', 'alice\n', '\u001b[2J', '../alice', '-rf', 'a'.repeat(33), 'x'.repeat(1_000_000), 'GPU-1/2'])('a label that holds no user name (%j) is passed over', (value) => {
    expect(owner({ labels: { 'gpuctl.owner': value, 'ds01.user': 'bob' } })).toEqual({ owner: 'bob', source: 'label' });
  });

  it('does not come from what every object has', () => {
    const reading = { ...config, labels: { ...config.labels, owner: ['constructor', '__proto__', 'toString'] } };
    expect(ownerOf(container(), reading, userName).owner).toBeNull();
  });
});

it('the type is the first label that holds one', () => {
  expect(typeOf(container({ labels: { 'gpuctl.type': 'no good', 'ds01.interface': 'api' } }), config)).toBe('api');
  expect(typeOf(container(), config)).toBeNull();
});

describe('a protected container', () => {
  it.each(['true', 'True', '1', 'yes', ' YES '])('says %j', (value) => {
    expect(isProtected(container({ labels: { 'ds01.protected': value } }), config)).toBe(true);
  });

  it.each(['false', '0', 'no', '', 'truely', '2'])('does not say %j', (value) => {
    expect(isProtected(container({ labels: { 'gpuctl.protected': value } }), config)).toBe(false);
  });
});

describe('infrastructure', () => {
  const listing = { ...config, infrastructure: { images: ['prom/node-exporter', 'reg:5000/dcgm:3', 'reg:5000/agent'], names: ['exporter'] } };

  it.each([['name', { name: 'exporter' }], ['image', { image: 'prom/node-exporter' }], ['image and tag', { image: 'prom/node-exporter:v1.8' }], ['image and digest', { image: 'prom/node-exporter@sha256:00' }], ['exact tag', { image: 'reg:5000/dcgm:3' }], ['image of a registry with port', { image: 'reg:5000/agent:1' }]])('is what is listed by %s, labelled or not', (_, changed) => {
    expect(isInfrastructure(container(changed), listing)).toBe(true);
  });

  it.each([{ name: 'exporter2' }, { image: 'prom/node-exporter-evil:1' }, { image: 'evil/prom/node-exporter' }, { image: 'reg:5000/dcgm:4' }, { image: 'reg:5000/agent/evil:1' }, { image: 'prom/node-exporter:5000/evil' }])('is not %j', (changed) => {
    expect(isInfrastructure(container(changed), listing)).toBe(false);
  });

  it('a label alone makes nothing infrastructure, but is noticed', () => {
    const labelled = container({ labels: { 'ds01.monitoring': 'true' } });
    expect(isInfrastructure(labelled, listing)).toBe(false);
    const noticed = (names: readonly string[]): readonly string[] => observationFindings(assessed({ containers: [runningJob({ labels: labelled.labels })] }), policyOf({ ...config, infrastructure: { images: [], names } })).map(({ id, severity }) => `${id} ${severity}`);
    expect([noticed([]), noticed(['job'])]).toEqual([['container.infrastructure.unlisted info'], []]);
  });
});
