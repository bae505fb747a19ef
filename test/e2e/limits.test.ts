import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { engineProxy } from '../hostsim/engine-proxy.ts';
import type { Host } from '../hostsim/host.ts';
import { eventsOf, openScene, type PassRun, type Scene, useEngine } from './scene.ts';

const engine = useEngine();
let scene: Scene;
afterEach(() => scene.dispose());

/** Limits of seconds instead of hours; the sampler runs as often as the test wants. */
const SECONDS = {
  limits: { default: { idle_timeout: '4s', idle_checks: 2, max_runtime: '24h', stop_grace: '1s', keep_alive_max: '1h' } },
  idle: { young_container_grace: '0', high_demand: { at: '100%', factor: 1 } },
};

describe('an idle container', () => {
  it('is warned, warned for the last time and stopped, each in a pass of its own, and never removed (S12)', async () => {
    scene = openScene(engine(), { gpus: 2, config: SECONDS });
    const id = await scene.computing(0, { name: 'idle', gpus: [scene.uuid(0)], labels: { 'gpuctl.owner': 'alice' } });
    const told: string[] = [];
    let last: PassRun | null = null;
    for (let n = 0; n < 30 && !told.includes('container.idle.stopped'); n += 1) {
      last = await scene.passWhileContainersChange([n % 2 === 0 ? 'sample' : 'check-idle']);
      const mine = last.events.map((event) => String(event['event.action'])).filter((action) => action.startsWith('container.'));
      expect(mine.length).toBeLessThan(2);
      told.push(...mine);
      await delay(500);
    }
    expect(told).toEqual(['container.idle.warned', 'container.idle.final', 'container.idle.stopped']);
    expect(last?.report.job).toBe('check-idle');
    expect((await engine().inspect(id)).State.Status).toBe('exited');
  });
});
