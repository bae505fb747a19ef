import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseInspect } from '../../../../src/observe/docker/inspect.ts';

const ID = '0123456789abcdef'.repeat(4);
const context = { id: ID, defaultRuntime: 'nvidia' };

/** One good case; each test changes one field. */
function body(): Record<string, any> {
  return {
    Id: ID,
    Name: '/trainer',
    Created: '2026-11-22T01:00:00.5Z',
    State: { Status: 'running', Running: true, Paused: false, Restarting: false, Dead: false, Pid: 77, StartedAt: '2026-11-22T01:00:01Z', FinishedAt: '0001-01-01T00:00:00Z' },
    Config: { Image: 'cuda:13', Env: ['NVIDIA_VISIBLE_DEVICES=all'], Labels: { 'gpuctl.owner': 'alice' } },
    HostConfig: {
      Runtime: '',
      Privileged: false,
      DeviceRequests: [{ Driver: 'nvidia', Count: 0, DeviceIDs: ['0', 'GPU-x'], Capabilities: [['gpu', 'utility']], Options: {} }],
      Devices: [{ PathOnHost: '/dev/nvidia0', PathInContainer: '/dev/nvidia0', CgroupPermissions: 'rwm' }],
    },
    Mounts: [{ Type: 'bind', Source: '/data', Destination: '/in' }, { Type: 'volume', Source: '/var/lib/v', Destination: '/out' }],
  };
}

function at(path: string, value: unknown): Record<string, any> {
  const changed = body();
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  const parent = keys.reduce((object, key) => object[key], changed);
  if (value === undefined) delete parent[last];
  else parent[last] = value;
  return changed;
}

describe('an inspect', () => {
  test('becomes a container, field by field', () => {
    expect(parseInspect(body(), context)).toEqual({
      inspected: true,
      id: ID,
      name: 'trainer',
      image: 'cuda:13',
      state: 'running',
      pid: 77,
      createdAt: Date.UTC(2026, 10, 22, 1, 0, 0, 500),
      startedAt: Date.UTC(2026, 10, 22, 1, 0, 1),
      finishedAt: null,
      labels: { 'gpuctl.owner': 'alice' },
      env: ['NVIDIA_VISIBLE_DEVICES=all'],
      runtime: 'nvidia',
      privileged: false,
      deviceRequests: [{ driver: 'nvidia', count: 0, deviceIds: ['0', 'GPU-x'], capabilities: [['gpu', 'utility']] }],
      deviceNodes: ['/dev/nvidia0'],
      bindSources: ['/data'],
      mountTargets: ['/in', '/out'],
      effectiveVisibleDevices: null,
    });
  });

  test.each(['Config.Env', 'Config.Labels', 'HostConfig.DeviceRequests', 'HostConfig.Devices', 'Mounts', 'HostConfig.DeviceRequests.0.DeviceIDs', 'HostConfig.DeviceRequests.0.Capabilities'])('may have null or nothing for an empty %s', (path) => {
    expect(parseInspect(at(path, null), context).inspected).toBe(true);
    expect(parseInspect(at(path, undefined), context).inspected).toBe(true);
  });

  test.each<[string, unknown]>([
    ['Id', undefined], ['Name', 7], ['State', null], ['State.Status', undefined], ['State.Pid', '77'], ['State.Pid', 1.5], ['State.Running', 'yes'],
    ['State.StartedAt', 'yesterday'], ['State.FinishedAt', 0], ['Created', '2026-13-01T00:00:00Z'], ['Config', undefined], ['Config', []], ['Config.Env', 'A=1'], ['Config.Env', [1]],
    ['Config.Labels', []], ['Config.Labels', { a: 1 }], ['Config.Labels', { a: null }], ['HostConfig', null], ['HostConfig.Privileged', undefined], ['HostConfig.Privileged', 'false'],
    ['HostConfig.Runtime', 3], ['HostConfig.DeviceRequests', {}], ['HostConfig.DeviceRequests', [null]], ['HostConfig.DeviceRequests.0.Count', '1'], ['HostConfig.DeviceRequests.0.DeviceIDs', 'all'],
    ['HostConfig.DeviceRequests.0.DeviceIDs', [0]], ['HostConfig.Devices', [{}]], ['Mounts', 'none'],
  ])('whose %s is %j is not used at all', (path, value) => {
    expect(parseInspect(at(path, value), context)).toEqual({ inspected: false, why: expect.stringContaining('malformed') });
  });

  test.each([null, [], 'text', 7, {}])('that is %j is not used', (text) => {
    expect(parseInspect(text, context).inspected).toBe(false);
  });

  test('about another container than was asked for is not used', () => {
    expect(parseInspect(at('Id', 'f'.repeat(64)), context)).toEqual({ inspected: false, why: 'the engine answered with another container' });
  });

  test.each([['hibernating', 'unknown'], ['', 'unknown'], ['Running', 'unknown'], ['removing', 'removing'], ['dead', 'dead']])('in state %j counts as %s', (Status, state) => {
    const changed = at('State.Status', Status);
    changed['State'].Running = false;
    expect(parseInspect(changed, context)).toMatchObject({ state });
  });

  test.each(['Running', 'Paused', 'Restarting'])('that says exited and %s at once is in an unknown state', (flag) => {
    const changed = at('State.Status', 'exited');
    changed['State'] = { ...changed['State'], Running: false, [flag]: true };
    expect(parseInspect(changed, context)).toMatchObject({ state: 'unknown' });
  });

  test('may be hostile: labels of any text and size are data', () => {
    const said = { '$(reboot)': '"; DROP TABLE\n\u001B[2J', 'gpuctl.protected': 'true', 'devcontainer.metadata': 'm'.repeat(20_000) };
    const parsed = parseInspect(at('Config.Labels', { big: 'x'.repeat(1024 * 1024), ...said, ...Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`other${n}`, 'x'.repeat(20_100)])) }), context);
    // What is long is left out before what is short, so that no label that a rule reads is crowded out.
    expect(parsed.inspected && parsed.labels).toEqual(said);
    const polluting = parseInspect(at('Config.Labels', JSON.parse('{"__proto__":"x","toString":"y"}')), context);
    expect(polluting.inspected).toBe(true);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  test('keeps of the environment only what says anything, and of mounts no more than may be a claim', () => {
    const secret = parseInspect(at('Config.Env', ['TOKEN=secret', `X=${'x'.repeat(1024 * 1024)}`, 'NVIDIA_VISIBLE_DEVICES=0', 'NVIDIA_VISIBLE_DEVICES=1']), context);
    expect(secret).toMatchObject({ env: ['NVIDIA_VISIBLE_DEVICES=0', 'NVIDIA_VISIBLE_DEVICES=1'] });
    const targets = [...Array.from({ length: 1000 }, (_, n) => `/m${n}`), `/${'x'.repeat(1024 * 1024)}`, '/var/run/nvidia-container-devices/GPU-1'];
    const mounted = parseInspect(at('Mounts', targets.map((Destination) => ({ Type: 'bind', Source: '/x', Destination }))), context);
    expect(mounted.inspected && [mounted.mountTargets.length, mounted.mountTargets.at(-1), mounted.bindSources.length]).toEqual([257, '/var/run/nvidia-container-devices/GPU-1', 256]);
  });

  test.each<[string, string, unknown]>([
    ['device ids', 'HostConfig.DeviceRequests', [{ Driver: 'cdi', DeviceIDs: Array.from({ length: 1025 }, (_, n) => `x${n}`) }]],
    ['device requests', 'HostConfig.DeviceRequests', Array.from({ length: 1025 }, () => ({ Driver: 'nvidia', Count: -1 }))],
    ['device nodes', 'HostConfig.Devices', Array.from({ length: 1025 }, (_, n) => ({ PathOnHost: `/dev/nvidia-caps/${n}` }))],
    ['devices in the environment', 'Config.Env', Array.from({ length: 1025 }, () => 'NVIDIA_VISIBLE_DEVICES=all')],
    ['devices in one variable', 'Config.Env', [`NVIDIA_VISIBLE_DEVICES=${'0,'.repeat(40_000)}`]],
    ['mounted devices', 'Mounts', Array.from({ length: 1025 }, (_, n) => ({ Destination: `/var/run/nvidia-container-devices/${n}` }))],
  ])('with more %s than any host has is not understood: it may claim any', (_, path, value) => {
    expect(parseInspect(at(path, value), context)).toEqual({ inspected: false, why: 'it refers to more devices than a host can have' });
  });

  test('is refused in few words, however long the text that is wrong', () => {
    const parsed = parseInspect(at('Config.Labels', { ['k'.repeat(1024 * 1024)]: 7 }), context);
    expect(parsed.inspected ? Infinity : parsed.why.length).toBeLessThan(300);
  });

  test('with anything at all in any place never throws, and is a container of that id or nothing', () => {
    const places = ['Id', 'Name', 'Created', 'State', 'State.Status', 'State.Pid', 'State.StartedAt', 'Config', 'Config.Env', 'Config.Labels', 'HostConfig', 'HostConfig.Runtime', 'HostConfig.DeviceRequests', 'HostConfig.DeviceRequests.0', 'HostConfig.Devices', 'Mounts', 'Mounts.0'];
    fc.assert(fc.property(fc.constantFrom(...places), fc.jsonValue(), (place, value) => {
      const parsed = parseInspect(at(place, value), context);
      expect(parsed.inspected ? parsed.id : parsed.why).toEqual(parsed.inspected ? ID : expect.any(String));
    }), { numRuns: 300 });
  });
});
