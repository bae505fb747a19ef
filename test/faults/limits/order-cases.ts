import { setTimeout as delay } from 'node:timers/promises';
import type { ProxyRule } from '../../hostsim/engine-proxy.ts';
import type { LimitExpected } from './check.ts';
import type { LimitCase } from './run.ts';
import type { LimitStage } from './stage.ts';

/** An order to the engine about the stage's container, and what it says of itself. */
interface Order {
  readonly callOut: string;
  readonly kind: 'due' | 'leftover';
  readonly method: 'POST' | 'DELETE';
  readonly done: string;
  /** Does what the order says, past the proxy. */
  readonly carryOut: (stage: LimitStage) => Promise<void>;
}

const STOP: Order = { callOut: 'engine stop', kind: 'due', method: 'POST', done: 'container.runtime.stopped', carryOut: ({ ground: { engine }, id }) => engine.stop(id) };
const REMOVE: Order = { callOut: 'engine remove', kind: 'leftover', method: 'DELETE', done: 'container.removed', carryOut: ({ ground: { engine }, id }) => engine.rm(id, { force: false }) };

const NO_CONTENT = 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n';
type Answer = NonNullable<ProxyRule['answer']>;

/** How an answer may be wrong, whether the order was carried out or not. `heard`: it does not say that the engine did nothing. */
const ANSWERS: readonly (readonly [fault: string, answer: Answer, heard: boolean])[] = [
  ['hangs up', 'close', true],
  ['hung', 'hang', true],
  ['half an answer', { raw: 'HTTP/1.1 204 No Con' }, true],
  ['an answer cut within its headers', { raw: 'HTTP/1.1 204 No Content\r\nApi-Ver' }, true],
  ['garbage', { raw: '\u0000\u001b[2J%PDF <<<>>>\r\n\r\n' }, true],
  ['500', { status: 500 }, true],
  ['503, HTML', { status: 503, body: '<html>busy</html>' }, true],
  ['403', { status: 403 }, false],
  ['404', { status: 404 }, false],
  ['409', { status: 409 }, false],
  ['304', { raw: 'HTTP/1.1 304 Not Modified\r\n\r\n' }, false],
];

/** The stop and the removal, with everything that can be wrong about them and about the looks before and after. */
export function orderCases(): readonly LimitCase[] {
  return [STOP, REMOVE].flatMap((order) => [...withoutIt(order), ...withIt(order), ...untrue(order), ...looks(order), ...late(order)]);
}

function ordered(order: Order, fault: string, { rule, expected, impatient = false }: { readonly rule: (stage: LimitStage) => Omit<ProxyRule, 'path'>; readonly expected: LimitExpected; readonly impatient?: boolean }): LimitCase {
  return {
    callOut: order.callOut, fault, kind: order.kind, expected,
    arrange: (stage) => {
      stage.proxy.rules = [{ path: new RegExp(`/containers/${stage.id}`), method: order.method, ...rule(stage) }];
      if (impatient) stage.configure({}, 'impatient');
      return { undo: () => { stage.proxy.rules = []; stage.configure({}); } };
    },
  };
}

/** The order never arrives: it has failed, and the next pass gives it again. */
function withoutIt(order: Order): readonly LimitCase[] {
  const expected: LimitExpected = { exits: [4], says: [`${order.done} failure`] };
  return ANSWERS.map(([fault, answer]) => ordered(order, `${fault}, and not done`, { rule: () => ({ answer }), expected, impatient: answer === 'hang' }));
}

/** It is carried out, and only the answer is wrong: nobody gives it again, and where the engine tried it is told as done. */
function withIt(order: Order): readonly LimitCase[] {
  const all = ANSWERS.map(([fault, answer, heard]) => ordered(order, `${fault}, and done`, {
    rule: (stage) => ({ before: () => order.carryOut(stage), answer }),
    expected: heard ? { exits: [0], says: [`${order.done} success`] } : { exits: [0], says: ['container.kept -'] },
    impatient: answer === 'hang',
  }));
  return [...all, ordered(order, 'slow', { rule: () => ({ before: () => delay(1500) }), expected: { exits: [0], says: [`${order.done} success`] } })];
}

/** The engine says that it is done, and it is not. */
function untrue(order: Order): readonly LimitCase[] {
  const expected: LimitExpected = { exits: [4], says: [`${order.done} failure`] };
  const lies: readonly (readonly [string, Answer])[] = [['204', { raw: NO_CONTENT }], ['200, HTML', { status: 200, body: '<html>ok</html>' }], ['200, nothing', { status: 200, body: '' }]];
  return lies.map(([fault, answer]) => ordered(order, `${fault}, and not done`, { rule: () => ({ answer }), expected }));
}

/** The order goes through; what cannot be seen is how it ended, or right before it whether it is still right. */
function looks(order: Order): readonly LimitCase[] {
  const answers: readonly (readonly [string, Answer])[] = [
    ['hangs up', 'close'], ['hung', 'hang'], ['half an answer', { truncateAt: 30 }], ['500', { status: 500 }], ['HTML', { status: 200, body: '<html>busy</html>' }], ['an empty object', { status: 200, body: '{}' }],
  ];
  const path = (stage: LimitStage): RegExp => new RegExp(`/containers/${stage.id}/json`);
  const after = (fault: string, answer: Answer, expected: LimitExpected): LimitCase => ordered(order, `the look after it: ${fault}`, {
    rule: (stage) => ({ before: () => { stage.proxy.rules = [{ path: path(stage), answer }]; } }), expected, impatient: answer === 'hang',
  });
  const before = answers.map(([fault, answer]): LimitCase => ({
    callOut: order.callOut, fault: `the look before it: ${fault}`, kind: order.kind, expected: { exits: [1, 4], says: ['container.kept -'] },
    arrange: (stage) => {
      stage.proxy.rules = [{ path: path(stage), times: 1, before: () => { stage.proxy.rules = [{ path: path(stage), answer }]; } }];
      if (answer === 'hang') stage.configure({}, 'impatient');
      return { undo: () => { stage.proxy.rules = []; stage.configure({}); } };
    },
  }));
  return [...before, ...answers.map(([fault, answer]) => after(fault, answer, { exits: [4], says: [`${order.done} failure`] }))];
}

/** The engine is slower than the deadline, and does it when nobody waits any more: before the next pass, or in the middle of it. */
function late(order: Order): readonly LimitCase[] {
  const graces = order.kind === 'due' ? [0, 6] : [0];
  return graces.map((graceS): LimitCase => ({
    callOut: order.callOut, fault: graceS === 0 ? 'done after the deadline' : 'still at it when the next pass comes', kind: order.kind,
    expected: { exits: [4], says: [`${order.done} failure`] },
    arrange: (stage) => {
      const { ground: { engine }, id, proxy, kind } = stage;
      let doing: Promise<void> | null = null;
      const doIt = (): Promise<void> => (kind === 'due' ? engine.stop(id, graceS) : engine.rm(id, { force: false }));
      proxy.rules = [{ path: new RegExp(`/containers/${id}`), method: order.method, answer: 'hang', before: () => { doing = graceS === 0 ? delay(4000).then(doIt) : doIt(); } }];
      stage.configure({}, 'impatient');
      return { undo: async () => {
        proxy.rules = [];
        stage.configure({});
        if (graceS === 0) await doing;
      } };
    },
  }));
}
