import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, existsSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type AdminParts, type AdminSink, alertKeeper, tellAdmins } from '../../../../src/act/notify/admin.ts';
import { whyUntrustedProgram } from '../../../../src/config/trusted-file.ts';
import type { GpuctlEvent } from '../../../../src/model/event.ts';
import { renderEvent } from '../../../../src/record/events.ts';
import { conflict, ended, memory, program, receiver, switched } from './receivers.ts';

const HOUR_MS = 3_600_000;

function parts(sinks: readonly AdminSink[], changed: Partial<AdminParts> = {}): AdminParts {
  const context = { host: 'gpu01', pass: 'P', job: 'release-stale', dryRun: false, version: '0', now: () => 0 };
  return {
    sinks, ledger: memory(), host: 'gpu01', job: 'release-stale', cooldownMs: 4 * HOUR_MS, now: () => 1_000_000_000_000,
    render: (event) => renderEvent(event, context), distrust: whyUntrustedProgram, timeoutMs: 5000, ...changed,
  };
}

const webhook = (url: string, format: 'generic' | 'slack' = 'generic'): AdminSink => ({ kind: 'webhook', url, format });
const hostile: GpuctlEvent = { ...conflict, message: '<!channel> & \u001b[2J\nBcc: x@example.org', container: { id: 'c'.repeat(64), name: 'x' } };

describe('a webhook', () => {
  it('gets one JSON document with the alerts of the pass as they are in the event file, and nothing else of it', async () => {
    const { url, received } = await receiver(204);
    expect(await tellAdmins([{ action: 'pass.started', message: 'began' }, conflict, ended], parts([webhook(url)]))).toEqual([]);
    expect(received).toHaveLength(1);
    expect(received[0]).toMatchObject({ method: 'POST', headers: { 'content-type': 'application/json', 'user-agent': 'gpuctl' } });
    expect(JSON.parse(received[0]?.body ?? '')).toMatchObject({ schema: 1, host: 'gpu01', more: 0, alerts: [{ 'event.action': 'gpu.allocation.conflict', 'gpu.uuid': 'GPU-1', 'gpuctl.alert': true }] });
  });

  it('of Slack gets one text in which nothing rings or formats by itself', async () => {
    const { url, received } = await receiver(200);
    await tellAdmins([hostile, ended], parts([webhook(url, 'slack')]));
    const { text } = JSON.parse(received[0]?.body ?? '') as { text: string };
    expect(text).toContain('gpuctl on gpu01: 1 alert');
    expect(text).toContain('&lt;!channel&gt; &amp;');
    expect(text).not.toContain('\u001b');
    expect(text.split('\n')).toHaveLength(2);
  });

  it('is told of the first fifty of a storm, and how many more there are', async () => {
    const { url, received } = await receiver(200);
    const storm = Array.from({ length: 53 }, (_, n): GpuctlEvent => ({ ...conflict, gpu: { uuid: `GPU-${n}` } }));
    await tellAdmins([...storm, ended], parts([webhook(url)]));
    const { alerts, more } = JSON.parse(received[0]?.body ?? '') as { alerts: unknown[]; more: number };
    expect([received.length, alerts.length, more]).toEqual([1, 50, 3]);
  });

  it.each([[500, 'HTTP 500'], [404, 'HTTP 404'], [300, 'HTTP 300'], [302, 'HTTP 302']])('that answers %i is an event that does not tell the secret of its URL', async (status, why) => {
    const { url } = await receiver(status, 'http://127.0.0.1:1/elsewhere');
    const [failure] = await tellAdmins([conflict, ended], parts([webhook(url)]));
    expect(failure).toMatchObject({ action: 'notify.failed', outcome: 'failure', reason: 'webhook', message: expect.stringContaining(why) });
    expect(JSON.stringify(failure)).not.toContain('secret');
  });

  it('that never answers is given up at its deadline, and does not keep the others from being told', async () => {
    const [dead, alive] = [await receiver(null), await receiver(200)];
    const before = performance.now();
    const failures = await tellAdmins([conflict, ended], parts([webhook(dead.url), webhook(alive.url)], { timeoutMs: 300 }));
    expect(performance.now() - before).toBeLessThan(2000);
    expect(failures).toMatchObject([{ message: expect.stringContaining('no answer within 300 ms') }]);
    expect(alive.received).toHaveLength(1);
  });

  it('where nobody listens is an event at once', async () => {
    expect(await tellAdmins([conflict, ended], parts([webhook('http://127.0.0.1:1/')]))).toMatchObject([{ action: 'notify.failed', message: expect.stringContaining('ECONNREFUSED') }]);
  });

  it('of https gets nothing in clear', async () => {
    const { url, received } = await receiver(200);
    expect(await tellAdmins([conflict, ended], parts([webhook(url.replace('http:', 'https:'))]))).toMatchObject([{ message: expect.stringMatching(/SSL|EPROTO/) }]);
    expect(received).toEqual([]);
  });

  it('that was given up keeps no connection, and one that answered no timer, which would hold the process', async () => {
    const [dead, alive] = [await receiver(null), await receiver(200)];
    const connected = once(dead.server, 'connection') as Promise<[Socket]>;
    await tellAdmins([conflict, ended], parts([webhook(dead.url)], { timeoutMs: 300 }));
    const [socket] = await connected;
    if (!socket.closed) await once(socket, 'close');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => { vi.useRealTimers(); });
    expect(await tellAdmins([conflict, ended], parts([webhook(alive.url)]))).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('the cool-down', () => {
  it('lets the same alert about the same thing pass once in four hours, another one at once', async () => {
    const { url, received } = await receiver(200);
    const ledger = memory();
    const at = (now: number, events: readonly GpuctlEvent[]) => tellAdmins([...events, ended], parts([webhook(url)], { ledger, now: () => now }));
    await at(0, [conflict]);
    expect(await at(4 * HOUR_MS - 1, [conflict])).toEqual([]);
    expect(received).toHaveLength(1);
    await at(4 * HOUR_MS - 1, [conflict, { ...conflict, gpu: { uuid: 'GPU-2' } }]);
    expect(JSON.parse(received[1]?.body ?? '')).toMatchObject({ alerts: [{ 'gpu.uuid': 'GPU-2' }] });
    await at(4 * HOUR_MS, [conflict, { ...conflict, gpu: { uuid: 'GPU-2' } }]);
    expect(received).toHaveLength(3);
  });

  it('ends when a later pass of the same job finds nothing of it, so that a relapse is told at once', async () => {
    const { url, received } = await receiver(200);
    const ledger = memory();
    for (const events of [[conflict, ended], [{ action: 'pass.started', message: 'began' } satisfies GpuctlEvent, ended], [conflict, ended]]) await tellAdmins(events, parts([webhook(url)], { ledger }));
    expect(received).toHaveLength(2);
  });

  it('of a condition lasts as long as it is open, whichever jobs see it, and ends when it is cleared', async () => {
    const { url, received } = await receiver(200);
    const ledger = memory();
    const about = { message: 'x', reason: 'gpu.fault', gpu: { uuid: 'GPU-1' } };
    const raised: GpuctlEvent = { ...about, action: 'gpu.condition.raised' };
    const pass = (job: string, ...events: readonly GpuctlEvent[]) => tellAdmins([...events, ended], parts([webhook(url)], { ledger, job }));
    await pass('sample', raised);
    await pass('release-stale', raised);
    await pass('sample', raised);
    expect(received, 'a reminder of each pass').toHaveLength(1);
    await pass('release-stale', { ...about, action: 'gpu.condition.cleared' });
    await pass('release-stale', raised);
    expect(received, 'a relapse').toHaveLength(2);
    await pass('sample', raised, { ...raised, reason: 'gpu.lost' });
    expect(received, 'another condition of the same device').toHaveLength(3);
    await pass('sample', raised, { ...about, action: 'gpu.condition.changed', alert: true });
    expect(received, 'it became worse').toHaveLength(4);
  });

  it.each([
    ['another job', [ended], { job: 'sample' }],
    ['a pass that did not end', [{ action: 'pass.started', message: 'began' } satisfies GpuctlEvent], {}],
    ['a pass that could not look', [{ action: 'observe.failed', message: 'x', alert: false } satisfies GpuctlEvent, ended], {}],
    ['a pass that saw only part', [{ action: 'observe.partial', message: 'x', alert: false } satisfies GpuctlEvent, ended], {}],
  ])('is not ended by %s', async (_, between, changed) => {
    const { url, received } = await receiver(200);
    const ledger = memory();
    await tellAdmins([conflict, ended], parts([webhook(url)], { ledger }));
    await tellAdmins(between, parts([webhook(url)], { ledger, ...changed }));
    await tellAdmins([conflict, ended], parts([webhook(url)], { ledger }));
    expect(received).toHaveLength(1);
  });

  it('writes nothing where there is nothing to remember or to forget', async () => {
    const write = (): never => { throw new Error('written'); };
    expect(await tellAdmins([ended], parts([], { ledger: { told: () => [], recordTold: write, forgetTold: write, owed: () => [], recordOwed: write, forgetOwed: write } }))).toEqual([]);
  });

  it('does not begin for a sink that did not take it, and goes on for one that did', async () => {
    const [bad, good] = [await receiver(500), await receiver(200)];
    const ledger = memory();
    for (const _ of [1, 2]) await tellAdmins([conflict, ended], parts([webhook(bad.url), webhook(good.url)], { ledger }));
    expect([bad.received.length, good.received.length]).toEqual([2, 1]);
  });

  it('does not last longer because the clock was ahead when it began', async () => {
    const { url, received } = await receiver(200);
    const ledger = memory();
    await tellAdmins([conflict, ended], parts([webhook(url)], { ledger, now: () => 48 * HOUR_MS }));
    await tellAdmins([conflict, ended], parts([webhook(url)], { ledger, now: () => HOUR_MS }));
    expect(received).toHaveLength(2);
  });
});

describe('an alert that occurs once', () => {
  const quarantined: GpuctlEvent = { action: 'gpu.quarantined', message: 'reset too often', gpu: { uuid: 'GPU-1' } };
  const AT = 1_000_000_000_000;
  /** What each pass gives each sink: its receiver answers as it is said. A pass that was killed tells nobody. */
  async function passes(answers: readonly (readonly number[])[], { cooldownMs = 4 * HOUR_MS, everyMs = HOUR_MS, after = [] as readonly GpuctlEvent[] } = {}): Promise<{ readonly told: readonly (readonly string[])[]; readonly debts: readonly string[] }> {
    const ledger = memory();
    const receivers = await Promise.all((answers.find((each) => each.length > 0) ?? []).map(() => switched()));
    const told: string[][] = [];
    for (const [n, statuses] of answers.entries()) {
      const pass = parts(receivers.map(({ url }) => webhook(url, 'slack')), { ledger, cooldownMs, job: 'release-stale', now: () => AT + n * everyMs });
      const events = n === 0 ? [quarantined] : after;
      for (const event of events) alertKeeper({ ...pass, now: () => AT + n * everyMs - 1 })(event);
      for (const [k, status] of statuses.entries()) receivers[k]?.answer(status);
      if (statuses.length > 0) await tellAdmins([...events, ended], pass);
      told.push(receivers.map(({ taken }) => taken()));
    }
    return { told, debts: ledger.debts.map(({ subject }) => subject) };
  }
  const sentence = 'gpu.quarantined: reset too often';
  const late = `${sentence} (of 2001-09-09T01:46:39.999Z)`;

  it('in a pass that was killed is told by the next one, with its instant', async () => {
    expect(await passes([[], [200], [200]])).toEqual({ told: [[''], [late], ['']], debts: [] });
  });

  it('that a sink did not take is offered to that one again, until it has it', async () => {
    expect(await passes([[200, 500], [200, 500], [200, 200], [200, 200]])).toEqual({ told: [[sentence, ''], ['', ''], ['', late], ['', '']], debts: [] });
  });

  it('is given to nobody twice by that, also where there is no cool-down', async () => {
    expect(await passes([[200, 500], [200, 500], [200, 200]], { cooldownMs: 0 })).toEqual({ told: [[sentence, ''], ['', ''], ['', late]], debts: [] });
  });

  it('is given up after a day', async () => {
    const { debts } = await passes([[500], [500]], { everyMs: 24 * HOUR_MS - 1 });
    expect(debts).toHaveLength(1);
    expect(await passes([[500], [500], [200]], { everyMs: 24 * HOUR_MS + 1 })).toEqual({ told: [[''], [''], ['']], debts: [] });
    expect(await passes([[], [200]], { everyMs: 24 * HOUR_MS - 1 })).toEqual({ told: [[''], [late]], debts: [] });
    expect(await passes([[], [200]], { everyMs: 24 * HOUR_MS }), 'emitted a millisecond before').toEqual({ told: [[''], ['']], debts: [] });
  });

  it('that occurs again is told once, as it is now', async () => {
    expect(await passes([[500], [200]], { after: [{ ...quarantined, message: 'reset much too often' }] })).toEqual({ told: [[''], ['gpu.quarantined: reset much too often']], debts: [] });
  });

  it('is kept only where a sink does not know of it yet', async () => {
    const { url } = await receiver(200);
    const ledger = memory();
    const at = (now: number): AdminParts => parts([webhook(url)], { ledger, now: () => now });
    alertKeeper(at(0))({ ...quarantined, alert: false });
    expect(ledger.debts).toEqual([]);
    alertKeeper(at(0))(quarantined);
    expect(ledger.debts).toHaveLength(1);
    await tellAdmins([quarantined, ended], at(1));
    alertKeeper(at(4 * HOUR_MS))(quarantined);
    expect(ledger.debts).toEqual([]);
    alertKeeper(at(4 * HOUR_MS + 1))(quarantined);
    expect(ledger.debts).toHaveLength(1);
  });

  it('that one sink knows of, and another does not, is kept for that one', () => {
    const ledger = memory();
    const sinks = [webhook('http://127.0.0.1:1/'), webhook('http://127.0.0.1:2/')];
    const at = (now: number, cooldownMs: number): AdminParts => parts(sinks, { ledger, cooldownMs, now: () => now });
    alertKeeper(at(0, HOUR_MS))(quarantined);
    const [{ subject } = { subject: '' }] = ledger.debts;
    ledger.debts = [];
    const idOf = (sink: AdminSink): string => createHash('sha256').update(JSON.stringify(sink)).digest('hex').slice(0, 32);
    ledger.rows = [{ sink: idOf(sinks[0] as AdminSink), subject, job: 'release-stale', at: 0 }];
    alertKeeper(at(1, HOUR_MS))(quarantined);
    expect(ledger.debts).toHaveLength(1);
    ledger.debts = [];
    ledger.rows = sinks.map((sink) => ({ sink: idOf(sink), subject, job: 'release-stale', at: 0 }));
    alertKeeper(at(1, HOUR_MS))(quarantined);
    expect(ledger.debts, 'both know').toEqual([]);
    // Told in the very millisecond of an alert is told of an earlier one.
    alertKeeper(at(0, 0))(quarantined);
    expect(ledger.debts).toHaveLength(1);
  });

  it('among very many of one pass is kept only as one of the first hundred', () => {
    const ledger = memory();
    const keep = alertKeeper(parts([webhook('http://127.0.0.1:1/')], { ledger }));
    for (let n = 0; n < 103; n += 1) keep({ ...quarantined, gpu: { uuid: `GPU-${n}` } });
    expect(ledger.debts).toHaveLength(100);
    alertKeeper(parts([], { ledger }))({ ...quarantined, gpu: { uuid: 'GPU-x' } });
    expect(ledger.debts, 'where there is no sink').toHaveLength(100);
  });

  it('of a condition that was cleared meanwhile is told no more', async () => {
    const { url, received } = await receiver(200);
    const ledger = memory();
    const about = { message: 'x', reason: 'gpu.fault', gpu: { uuid: 'GPU-1' } };
    alertKeeper(parts([webhook(url)], { ledger }))({ ...about, action: 'gpu.condition.raised' });
    await tellAdmins([{ ...about, action: 'gpu.condition.cleared' }, ended], parts([webhook(url)], { ledger }));
    expect([received, ledger.debts]).toEqual([[], []]);
  });
});

describe('that an admin was not told', () => {
  const distrust = (): string => 'is not root’s';
  it.each<[AdminSink, number, string, string]>([
    [{ kind: 'exec', program: '/opt/pager' }, 1, 'the program /opt/pager', 'the program /opt/pager was not told of 1 alert: it is not run: it is not root’s'],
    [{ kind: 'mail', to: 'admin@example.org', program: '/opt/sendmail' }, 2, 'mail to admin@example.org', 'mail to admin@example.org was not told of 2 alerts: it is not run: it is not root’s'],
    [{ kind: 'webhook', url: 'http://127.0.0.1:1/hook/secret', format: 'slack' }, 1, 'the webhook at 127.0.0.1:1', 'the webhook at 127.0.0.1:1 was not told of 1 alert: connect ECONNREFUSED 127.0.0.1:1'],
  ])('%o is an event that names the place and the number', async (sink, alerts, place, message) => {
    const events = Array.from({ length: alerts }, (_, n): GpuctlEvent => ({ ...conflict, gpu: { uuid: `GPU-${n}` } }));
    expect(await tellAdmins([...events, ended], parts([sink], { distrust }))).toEqual([{ action: 'notify.failed', outcome: 'failure', reason: sink.kind, message, facts: { sink: place, alerts } }]);
  });
});

describe('a program', () => {
  it('gets one event a line on its standard input, and no argument', async () => {
    const { path, dir } = program('cat > "$DIR/input"; echo "$#" > "$DIR/count"');
    expect(await tellAdmins([conflict, hostile, { ...conflict, gpu: { uuid: 'GPU-2' } }, ended], parts([{ kind: 'exec', program: path }]))).toEqual([]);
    const lines = readFileSync(join(dir, 'input'), 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as Record<string, unknown>)['event.action'])).toEqual(Array.from({ length: 3 }, () => 'gpu.allocation.conflict'));
    expect(readFileSync(join(dir, 'count'), 'utf8')).toBe('0\n');
  });

  it.each([
    ['fails', 'echo; echo no >&2; exit 3', /: it exited with 3: no$/],
    ['fails and says much', 'printf %0300d 0 >&2; exit 3', /: it exited with 3: 0{200}$/],
    ['is ended by another', 'kill -9 $$', /: signal$/],
    ['never ends', 'exec sleep 100', /: it did not end within 300 ms$/],
    ['never ends and ignores every request to', "trap '' TERM; while :; do sleep 100; done", /: it did not end within 300 ms$/],
  ])('that %s is an event', async (_, script, why) => {
    const { path } = program(script);
    expect(await tellAdmins([conflict, ended], parts([{ kind: 'exec', program: path }], { timeoutMs: 300 }))).toMatchObject([{ action: 'notify.failed', reason: 'exec', message: expect.stringMatching(why) }]);
  });

  it('that does not read its input is no failure', async () => {
    const { path } = program('exec <&-; exit 0');
    const many = Array.from({ length: 50 }, (_, n): GpuctlEvent => ({ ...conflict, message: 'x'.repeat(5000), gpu: { uuid: `GPU-${n}` } }));
    expect(await tellAdmins([...many, ended], parts([{ kind: 'exec', program: path }]))).toEqual([]);
  });

  it('that somebody else may have written is not run', async () => {
    const { path, dir } = program('touch "$DIR/ran"');
    const distrust = (): string => 'others than root may write (chmod go-w)';
    expect(await tellAdmins([conflict, ended], parts([{ kind: 'exec', program: path }], { distrust }))).toMatchObject([{ message: expect.stringContaining('it is not run') }]);
    expect(existsSync(join(dir, 'ran'))).toBe(false);
  });
});

it('a mail is a whole message to sendmail, whose header lines are ours alone', async () => {
  const { path, dir } = program('cat > "$DIR/mail"; echo "$@" > "$DIR/args"');
  expect(await tellAdmins([hostile, ended], parts([{ kind: 'mail', to: 'admin@example.org', program: path }], { host: 'gpü01\nBcc: y@example.org' }))).toEqual([]);
  expect(readFileSync(join(dir, 'args'), 'utf8')).toBe('-t -oi\n');
  const [header = '', body = ''] = readFileSync(join(dir, 'mail'), 'utf8').split('\n\n');
  expect(header.split('\n').map((line) => line.split(':')[0])).toEqual(['To', 'Subject', 'MIME-Version', 'Content-Type', 'Content-Transfer-Encoding', 'Auto-Submitted']);
  expect(header).toMatch(/^To: admin@example\.org$/m);
  expect(header).toMatch(/^Subject: gpuctl on gp\?01\S* y@example\.org: 1 alert$/m);
  expect(body).toMatch(/^gpu\.allocation\.conflict: /);
  expect(body).not.toMatch(/^Bcc/m);
});

it('a pass without an alert tells nobody', async () => {
  const { url, received } = await receiver(200);
  await tellAdmins([{ action: 'gpu.allocation.released', message: 'x' }, { ...conflict, alert: false }, ended], parts([webhook(url)]));
  expect(received).toEqual([]);
});
