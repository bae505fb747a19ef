import { once } from 'node:events';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { createNotifier, type NotifierParts } from '../../../../src/act/notify/notifier.ts';
import { writeToTerminals } from '../../../../src/act/notify/terminals.ts';
import { openEngine } from '../../../../src/callout/engine.ts';
import type { GpuctlEvent } from '../../../../src/model/event.ts';
import type { Notifier, OwnerNotice } from '../../../../src/passes/ports.ts';
import { login } from '../../../hostsim/login.ts';
import { startFakeEngine } from '../../observe/docker/fake-engine.ts';
import { conflict, ended, memory, program, receiver } from './receivers.ts';

const ID = 'a'.repeat(64);
/** Nobody else’s on this host, another run of these tests beside this one included. */
const USER = 1_000_000_000 + process.pid * 10;
const NOWHERE = openEngine({ host: 'unix:///nonexistent/engine.sock', timeoutMs: 1000 });
const notice: OwnerNotice = { kind: 'idle', stage: 'final', message: 'train will be stopped', target: { kind: 'container', containerId: ID, containerName: 'train', startedAt: null, owner: 'alice' } };

function notifier(changed: Partial<NotifierParts>): Notifier {
  return createNotifier({
    owner: [], sinks: [], ledger: memory(), cooldownMs: 0, host: 'gpu01', job: 'check-idle', now: () => 0, uidOf: () => null,
    render: ({ action }) => action, distrust: () => null, engine: NOWHERE, ...changed,
  });
}

/** What did not reach the owner. */
function undelivered(way: string, why: string): GpuctlEvent {
  return {
    action: 'notify.failed', outcome: 'failure', reason: way, message: `the notice about container train could not be delivered by ${way}: ${why}`,
    container: { id: ID, name: 'train' }, user: 'alice', facts: { kind: 'idle', stage: 'final' },
  };
}

describe('a notice to an owner', () => {
  it('that did not reach him is one event for each way, which says what it was about and why', async () => {
    expect(await notifier({ owner: ['tty', 'container-file'] }).notifyOwner(notice)).toEqual([undelivered('container-file', 'there is no socket /nonexistent/engine.sock')]);
  });

  it('of whom nobody knows who he is names no user', async () => {
    const { user: _, ...nobody } = undelivered('container-file', 'there is no socket /nonexistent/engine.sock');
    expect(await notifier({ owner: ['tty', 'container-file'], uidOf: () => expect.fail('there is no name') }).notifyOwner({ ...notice, target: { ...notice.target, owner: null } })).toEqual([nobody]);
  });

  it('about something that is no container is an event as well', async () => {
    const { host, close } = await startFakeEngine((_, response) => { response.end('{}'); });
    onTestFinished(close);
    const one = notifier({ owner: ['container-file'], engine: openEngine({ host, timeoutMs: 5000 }) });
    expect(await one.notifyOwner({ ...notice, target: { ...notice.target, containerId: 'x' } })).toMatchObject([{ message: expect.stringMatching(/: not a full container id: "x"$/) }]);
  });

  it('is delivered where one terminal of several took it; where none did, that is said; where he has none, nothing is', async () => {
    const tell = (): Promise<readonly GpuctlEvent[]> => notifier({ owner: ['tty'], uidOf: () => USER }).notifyOwner(notice);
    expect(await tell()).toEqual([]);
    const { child } = await login(USER, 'y');
    process.kill(child.pid ?? 0, 'SIGSTOP');
    onTestFinished(() => { process.kill(child.pid ?? 0, 'SIGCONT'); });
    // The kernel makes a little room behind our back.
    const fill = (): void => { for (let n = 0; n < 200 && writeToTerminals(USER, 'x'.repeat(4000)).failed === 0; n += 1); };
    let told: readonly GpuctlEvent[] = [];
    for (let n = 0; n < 200 && told.length === 0; n += 1) {
      fill();
      told = await tell();
    }
    expect(told).toEqual([undelivered('tty', '1 terminal of alice did not take it')]);
    const reader = await login(USER, 'y');
    fill();
    expect(await tell()).toEqual([]);
    while (!reader.shown().includes('gpuctl: train will be stopped')) await once(reader.child.stdout ?? reader.child, 'data');
  });

  it('is for the terminals, or for the container, as it is configured', async () => {
    const { shown, child } = await login(USER + 1, 'y');
    expect(await notifier({ owner: ['container-file'], uidOf: () => USER + 1 }).notifyOwner(notice)).toHaveLength(1);
    expect(await notifier({ owner: ['tty'], uidOf: () => USER + 1 }).notifyOwner({ ...notice, message: 'by the terminal' })).toEqual([]);
    while (!shown().includes('by the terminal')) await once(child.stdout ?? child, 'data');
    expect(shown()).not.toContain('train');
  });
});

describe('the engine', () => {
  it('that does not answer one notice in time is not asked again in the pass, however short that time is', async () => {
    const { host, asked, close } = await startFakeEngine(() => { /* It never answers. */ });
    onTestFinished(close);
    const one = notifier({ owner: ['container-file'], engine: openEngine({ host, timeoutMs: 200 }) });
    expect(await one.notifyOwner(notice)).toEqual([undelivered('container-file', 'no whole answer within 200 ms')]);
    const before = asked.length;
    expect(await one.notifyOwner(notice)).toEqual([undelivered('container-file', 'the engine did not answer the notice before')]);
    expect(asked).toHaveLength(before);
  });

  it('that refuses one notice is asked for the next', async () => {
    let refuses = true;
    const { host, close } = await startFakeEngine((request, response) => {
      request.resume().on('end', () => { response.writeHead(refuses ? 404 : 200).end('{"message":"no such container"}'); });
    });
    onTestFinished(close);
    const one = notifier({ owner: ['container-file'], engine: openEngine({ host, timeoutMs: 5000 }) });
    expect(await one.notifyOwner(notice)).toEqual([undelivered('container-file', 'HTTP 404: no such container')]);
    refuses = false;
    expect(await one.notifyOwner(notice)).toEqual([]);
    expect(await one.notifyOwner(notice)).toEqual([]);
  });
});

describe('admins', () => {
  afterEach(() => { vi.useRealTimers(); });

  it('are told of the alerts of a pass', async () => {
    const { url, received } = await receiver(200);
    expect(await notifier({ sinks: [{ kind: 'webhook', url, format: 'slack' }] }).notifyAdmin([conflict, ended])).toEqual([]);
    expect(received).toHaveLength(1);
  });

  it('are not told where no memory tells of what they were told already', async () => {
    const { url, received } = await receiver(200);
    expect(await notifier({ ledger: null, sinks: [{ kind: 'webhook', url, format: 'slack' }] }).notifyAdmin([conflict, ended])).toEqual([]);
    expect(received).toEqual([]);
  });

  it('where there are none are nobody’s business: what was told is left as it is', async () => {
    const ledger = memory();
    ledger.rows = [{ sink: 's', subject: 'x', job: 'check-idle', at: 0 }];
    expect(await notifier({ ledger }).notifyAdmin([conflict, ended])).toEqual([]);
    expect(ledger.rows).toHaveLength(1);
  });

  it('are owed an alert as soon as it is emitted, where there is somebody to tell and a memory', () => {
    const ledger = memory();
    notifier({ ledger, sinks: [{ kind: 'exec', program: '/bin/true' }] }).rememberAlert(conflict);
    expect(ledger.debts).toHaveLength(1);
    notifier({ ledger: null, sinks: [{ kind: 'exec', program: '/bin/true' }] }).rememberAlert(conflict);
  });

  it('whose memory fails are not told, which is an event', async () => {
    const ledger = { ...memory(), told: () => { throw new Error('disk I/O error'); } };
    const one = notifier({ ledger, sinks: [{ kind: 'exec', program: '/bin/true' }] });
    one.rememberAlert(conflict);
    expect(await one.notifyAdmin([conflict])).toEqual([{ action: 'notify.failed', outcome: 'failure', message: 'admins were not told: disk I/O error' }]);
  });

  it.each([[undefined, 8000], [500, 400]])('who do not answer have less than the time of all of them (%s), so that each can be told of', async (deadlineMs, ms) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { path } = program('exec sleep 100');
    const failures = notifier({ sinks: [{ kind: 'exec', program: path }], ...(deadlineMs !== undefined && { deadlineMs }) }).notifyAdmin([conflict]);
    vi.advanceTimersByTime(ms);
    expect(await failures).toMatchObject([{ reason: 'exec', message: expect.stringContaining(`it did not end within ${ms} ms`) }]);
  });

  it.each([[undefined, 10_000], [500, 500]])('hold no pass up for longer than that time (%s), whatever they do', async (deadlineMs, ms) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { path } = program('exec sleep 100');
    const failures = notifier({ sinks: [{ kind: 'exec', program: path }], ...(deadlineMs !== undefined && { deadlineMs }) }).notifyAdmin([conflict]);
    vi.advanceTimersByTime(ms);
    expect(await failures).toEqual([{ action: 'notify.failed', outcome: 'failure', message: `admins: not all were told within ${ms} ms` }]);
  });

  it('keep no process waiting for a deadline once they are told', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    await notifier({ sinks: [{ kind: 'exec', program: '/bin/true' }] }).notifyAdmin([ended]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
