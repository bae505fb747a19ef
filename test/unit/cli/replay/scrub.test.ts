import { describe, expect, it } from 'vitest';
import { scrub } from '../../../../src/cli/replay/scrub.ts';
import { type Encoded, recorder, type Tape } from '../../../../src/cli/replay/tape.ts';
import { pseudonyms } from '../../../../src/cli/replay/words.ts';

const ID = 'a'.repeat(64);

function tapeOf(parts: Readonly<Record<string, Readonly<Record<string, Encoded>>>>, questions: readonly (readonly [part: string, method: string, argument?: string])[]): Tape {
  const { tape, part } = recorder();
  for (const [name, members] of Object.entries(parts)) {
    const made = part(name, () => Object.fromEntries(Object.entries(members).map(([key, value]) => [key, () => value]))) as Readonly<Record<string, (argument?: string) => unknown>>;
    for (const [, method, argument] of questions.filter(([which]) => which === name)) made[method]?.(argument);
  }
  return tape;
}

const inspect = {
  ok: true,
  value: {
    Id: ID, Name: '/alice-train', Created: 'x', Path: '/usr/bin/secret', Args: ['--password', 'hunter2'],
    State: { Status: 'running', Running: true, Pid: 7, Error: 'hunter2' },
    Config: { Image: 'registry/alice/private:1', Hostname: 'hunter2', Cmd: ['hunter2'], Env: ['TOKEN=hunter2', 'NVIDIA_VISIBLE_DEVICES=GPU-1'], Labels: { 'gpuctl.owner': 'alice', 'gpuctl.device': '0,1', 'note': 'about alice' } },
    HostConfig: { Runtime: 'nvidia', Privileged: false, Binds: ['/home/alice:/x'], DeviceRequests: [], Devices: [{ PathOnHost: '/dev/nvidia0', PathInContainer: '/hunter2' }] },
    Mounts: [{ Type: 'bind', Source: '/home/alice/data', Destination: '/workspace/alice' }, { Type: 'bind', Source: '/dev/null', Destination: '/var/run/nvidia-container-devices/all' }],
  },
} as const;

const process = { state: 'present', pid: 7, uid: 1000, command: 'alices-job', cgroups: ['/user.slice/user-1000.slice/user@1000.service/app.slice/alices.service', `/system.slice/docker-${ID}.scope`] } as const;

function scrubbed(): Tape {
  const smi = { exitCode: 0, stdout: '<process_name>/home/alice/a.py\n--key hunter2</process_name><product_name>NVIDIA H100</product_name>', stderr: '' };
  const tape = tapeOf({
    engine: { inspect, list: { ok: true, value: [{ Id: ID, Names: ['/alice-train', '/other/alias'], State: 'running', Command: 'hunter2', Labels: { note: 'hunter2' } }] }, info: { ok: true, value: { ID: 'E', Name: 'hunter2', ServerVersion: '29', Labels: ['hunter2'] } } },
    'nvidia-smi': { run: smi },
    proc: { look: { processes: [process, { ...process, uid: 0, command: 'Xorg' }] } },
    rules: { ownerOf: 'alice', limitsOf: { exemptFromIdle: 'hunter2', idleExemption: { reason: 'hunter2', until: '2026-12-24', granted: true }, runtimeExemption: null } },
    ledger: { history: { allocations: [{ containerId: ID, containerName: 'alice-train', owner: 'alice', gpuUuid: 'GPU-alice-1' }], conditions: [{ message: 'container alice-train of alice holds it' }], inventory: [{ pciBusId: 'x', name: 'NVIDIA H100' }] } },
  }, [['engine', 'inspect', ID], ['engine', 'list'], ['engine', 'info'], ['nvidia-smi', 'run'], ['proc', 'look'], ['rules', 'ownerOf'], ['rules', 'limitsOf'], ['ledger', 'history']]);
  return scrub(tape, { permitted: ['Xorg'], deviceLabels: ['gpuctl.device'], people: ['bob'] });
}

function answerTo(tape: Tape, question: string): never {
  return tape.answers[question]?.[0]?.value as never;
}

describe('a scrubbed tape', () => {
  it('has no name, environment, command line or label value left', () => {
    const text = JSON.stringify(scrubbed());
    for (const secret of ['hunter2', 'alice-train', 'alices', '/home', 'about', 'alias', 'private']) expect(text.includes(secret), secret).toBe(false);
    expect(text.replaceAll('GPU-alice-1', '')).not.toContain('alice');
  });

  it('keeps what rules read: ids, states, devices, managers and permitted names', () => {
    const tape = scrubbed();
    expect(answerTo(tape, `engine.inspect(${ID})`)).toMatchObject({ value: {
      Id: ID, State: { Status: 'running', Pid: 7 }, Config: { Env: ['NVIDIA_VISIBLE_DEVICES=GPU-1'], Labels: { 'gpuctl.device': '0,1' } },
      HostConfig: { Runtime: 'nvidia', Devices: [{ PathOnHost: '/dev/nvidia0' }] }, Mounts: [{}, { Source: '/dev/null', Destination: '/var/run/nvidia-container-devices/all' }],
    } });
    expect(answerTo(tape, 'proc.look()')).toMatchObject({ processes: [{ uid: 61_000, cgroups: [expect.stringMatching(/^\/user\.slice\/user-61000\.slice\/user@61000\.service\/unit-\d+\.slice\/unit-\d+\.service$/), `/system.slice/docker-${ID}.scope`] }, { uid: 0, command: 'Xorg' }] });
    expect(answerTo(tape, 'ledger.history()')).toMatchObject({ allocations: [{ gpuUuid: 'GPU-alice-1' }], inventory: [{ name: 'NVIDIA H100' }] });
    expect(answerTo(tape, 'nvidia-smi.run()')).toMatchObject({ stdout: expect.stringContaining('NVIDIA H100') });
  });

  it('has one stand-in for one name, wherever it stands', () => {
    const tape = scrubbed();
    const owner: string = answerTo(tape, 'rules.ownerOf()');
    const name = (answerTo(tape, `engine.inspect(${ID})`) as { value: { Name: string } }).value.Name.slice(1);
    expect(answerTo(tape, 'ledger.history()')).toMatchObject({ allocations: [{ containerName: name, owner }], conditions: [{ message: `container ${name} of ${owner} holds it` }] });
    expect(answerTo(tape, 'engine.list()')).toMatchObject({ value: [{ Names: [`/${name}`, expect.any(String)] }] });
  });
});

describe('pseudonyms', () => {
  it('replace whole words, never parts of ids, and none that gpuctl itself uses', () => {
    const names = pseudonyms();
    for (const word of ['alice', 'exited', 'ab', 'deadbeef', '4711']) names.of('user', word);
    expect(names.within('alice, alice. (alice) users.alice malice alice-x GPU-deadbeef-0 exited ab 4711')).toBe('user-1, user-1. (user-1) users.user-1 malice alice-x GPU-deadbeef-0 exited ab 4711');
    expect(names.of('container', 'alice')).toBe('user-1');
  });

  it('map uids of people alone, one to one', () => {
    const names = pseudonyms();
    const mapped = [0, 33, 999, 1000, 1001, 1000, 65_534, 100_000].map((uid) => names.uid(uid));
    expect(mapped).toEqual([0, 33, 999, 61_000, 61_001, 61_000, 65_534, 61_002]);
  });
});
