import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { idOf, useEngine as useFakeEngine } from '../cli/fake-engine.ts';
import { useHost } from '../cli/workbench.ts';
import { startHost, type Host } from '../hostsim/host.ts';
import { makeRoom } from './room.ts';
import { openScene, useEngine } from './scene.ts';

// Run by leave-capture.test.ts alone: one test that fails for each way in which a test gets a host, and what may be wrong with it.

const fail = (): void => { expect('this test').toBe('one that passes'); };

it('passes', () => { useHost(); });

it('host of its own', () => {
  const host = startHost({ gpus: 3 });
  onTestFinished(() => host.dispose());
  fail();
});

it('fake engine', async () => {
  const host = useHost();
  await useFakeEngine(host, [{ id: idOf('a1'), gpus: [host.gpu(0).uuid] }]);
  fail();
});

it('hung engine hung nvidia smi', { timeout: 1500 }, async () => {
  const host = useHost();
  (await useFakeEngine(host)).mood = 'hung';
  host.fault({ kind: 'hang', style: 'ignores-term' });
  host.configure({ engine: { host: `unix://${join(host.dir, 'fake.sock')}`, timeout: '1s' }, nvidia_smi: { timeout: '1s' } });
  // This one waits for longer than the test, and has the lock.
  await host.startGpuctl(['release-stale']).done.then(() => new Promise(() => undefined));
});

it('broken configuration', () => {
  writeFileSync(useHost().configPath, 'version: [');
  fail();
});

it('uncapturable', () => {
  const host = useHost();
  writeFileSync(host.configPath, 'version: [');
  mkdirSync(join(host.dir, 'plain.json'));
  fail();
});

it('invalid events', () => {
  appendFileSync(useHost().eventsPath, '{}\n');
});

it('room', () => {
  makeRoom().config('version: 1\nschedule: { sample: "* * * * *" }\n');
  fail();
});

it('bare room', () => {
  makeRoom();
  fail();
});

describe('a host', () => {
  let host: Host;
  afterEach(() => host.dispose());

  it('disposal after each', () => {
    host = startHost();
    fail();
  });
});

describe('preparation', () => {
  let host: Host;
  beforeAll(() => {
    host = startHost();
    fail();
  });
  afterAll(() => host.dispose());

  it('is never reached', () => undefined);
});

describe('real engine', () => {
  const engine = useEngine();

  it('engine alone', async () => {
    await engine().run({ name: 'runs' });
    fail();
  });

  it('scene', async () => {
    const scene = openScene(engine());
    onTestFinished(() => scene.dispose());
    await scene.computing(0, { gpus: [scene.uuid(0)] });
    fail();
  });
});
