import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ProxyRule } from '../hostsim/engine-proxy.ts';
import type { Arranged, FaultCase } from './run.ts';
import type { Stage } from './stage.ts';

const ENGINE_CALLS: readonly (readonly [string, RegExp])[] = [
  ['ping', /_ping/], ['info', /\/info/], ['list', /containers\/json/], ['inspect', /containers\/[0-9a-f]{64}\/json/],
];

/** Every question to the engine. */
export function engineCases(): readonly FaultCase[] {
  const answers: readonly (readonly [string, (path: RegExp, stage: Stage) => ProxyRule | Promise<ProxyRule>])[] = [
    ['hangs up', (path) => ({ path, answer: 'close' })],
    ['slow', (path) => ({ path, before: () => delay(100) })],
    ['hung', (path) => ({ path, answer: 'hang' })],
    ['half an answer', (path) => ({ path, answer: { truncateAt: 30 } })],
    ['500', (path) => ({ path, answer: { status: 500 } })],
    ['404', (path) => ({ path, answer: { status: 404 } })],
    ['HTML', (path) => ({ path, answer: { status: 200, body: '<html>busy</html>' } })],
    ['nothing', (path) => ({ path, answer: { status: 200, body: '' } })],
    ['an empty list', (path) => ({ path, answer: { status: 200, body: '[]' } })],
    ['an empty object', (path) => ({ path, answer: { status: 200, body: '{}' } })],
    ['another container', async (path, { ground: { engine, liveIds } }) => ({ path, answer: { status: 200, body: JSON.stringify(await engine.inspect(liveIds[0] ?? '')) } })],
  ];
  const quick = new Set(['list hung', 'inspect half an answer', 'inspect another container', 'list an empty list', 'info 500']);
  const every = ENGINE_CALLS.flatMap(([call, path]) => answers.map(([fault, rule]): FaultCase => ({
    callOut: `engine ${call}`, fault, quick: quick.has(`${call} ${fault}`),
    arrange: async (stage) => {
      const one = await rule(path, stage);
      stage.proxy.rules = [one];
      if (one.answer === 'hang') stage.configure({}, 'impatient');
      return { undo: () => { stage.proxy.rules = []; stage.configure({}); } };
    },
  })));
  const second = ENGINE_CALLS.slice(1).flatMap(([call, path]) => (['close', 'hang', { status: 500 }, { truncateAt: 30 }] as const).map((answer): FaultCase => ({
    callOut: `engine ${call}, from the second on`, fault: typeof answer === 'string' ? answer : JSON.stringify(answer),
    arrange: (stage) => {
      const rule: ProxyRule = { path, answer };
      stage.proxy.rules = [{ path, times: 1, before: () => { stage.proxy.rules = [rule]; } }];
      if (answer === 'hang') stage.configure({}, 'impatient');
      return { undo: () => { stage.proxy.rules = []; stage.configure({}); } };
    },
  })));
  const whole: readonly FaultCase[] = [
    { callOut: 'engine', fault: 'no socket', arrange: (stage) => ({ ...elsewhere(stage, 'nobody.sock') }) },
    { callOut: 'engine', fault: 'a plain file for a socket', arrange: (stage) => { writeFileSync(join(stage.host.dir, 'file.sock'), ''); return elsewhere(stage, 'file.sock'); } },
    { callOut: 'engine', fault: 'stopped in the middle of its life', arrange: (stage) => {
      stage.proxy.rules = [{ path: /./, answer: 'hang' }];
      stage.configure({}, 'impatient');
      return { undo: () => { stage.proxy.rules = []; stage.configure({}); } };
    } },
  ];
  return [...every, ...second, ...whole];
}

function elsewhere(stage: Stage, name: string): Arranged {
  stage.configure({ engine: { host: `unix://${join(stage.host.dir, name)}` } });
  return { undo: () => { stage.configure({}); } };
}
