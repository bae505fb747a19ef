import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { endProcesses, type ProcessState } from '../../src/act/end-processes.ts';
import { runChild } from '../../src/callout/child.ts';
import { openEngine } from '../../src/callout/engine.ts';
import type { ProcessTarget } from '../../src/model/decision.ts';
import { releaseStale } from '../../src/passes/release-stale.ts';
import { runPass } from '../../src/passes/run-pass.ts';
import { BOOT, idOf } from './host.ts';
import { runs, world } from './generate.ts';
import { benchOf, passOptions } from './ports.ts';

const folder = mkdtempSync(join(tmpdir(), 'gpuctl-property-'));
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** What a deadline may be missed by on a busy machine; what is tested is that there is one. */
const SLACK_MS = 3000;

async function elapsed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

describe('nothing waits for ever', () => {
  it('for a child, whatever it does', async () => {
    // Each ends by itself in the end, so that nothing of it outlives the test by much.
    const children = ['exec sleep 30', 'trap "" TERM INT HUP; sleep 6', 'exec 1>&- 2>&-; exec sleep 30', 'sleep 6 & sleep 6', 'cat', 'kill -STOP $$', 'printf x; exec sleep 30', 'sleep 6 & echo done'];
    const timeoutMs = 300;
    const took = await Promise.all(children.map((script) => elapsed(() => runChild({ file: '/bin/sh', args: ['-c', script], timeoutMs }))));
    for (const ms of took) expect(ms).toBeLessThan(timeoutMs + 1000 + SLACK_MS);
  });

  it('for an engine, whatever it answers', async () => {
    let sockets = 0;
    const answers = [
      '', 'HTTP/1.1 200 OK\r\n', 'HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nContent-Length: 9\r\n\r\n', 'HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n',
      'HTTP/1.1 100 Continue\r\n\r\n', 'SSH-2.0-OpenSSH_9\r\n', '\u0000\u0001\u0002',
    ];
    await fc.assert(fc.asyncProperty(fc.constantFrom(...answers), fc.constantFrom('silence', 'drip', 'close'), fc.constantFrom('version', 'info', 'list', 'inspect'), async (answer, then, question) => {
      const socket = join(folder, `engine-${sockets += 1}.sock`);
      const open = new Set<Socket>();
      const server = createServer((connection) => {
        open.add(connection);
        connection.on('error', () => {});
        connection.write(answer);
        if (then === 'close') connection.end();
        if (then !== 'drip') return;
        const drip = setInterval(() => { connection.write(' '); }, 20);
        connection.on('close', () => { clearInterval(drip); });
      });
      servers.push(server);
      await new Promise<void>((resolve) => { server.listen(socket, resolve); });
      const engine = openEngine({ host: `unix://${socket}`, timeoutMs: 100 });
      const ask = { version: () => engine.version(), info: () => engine.info(), list: () => engine.list(), inspect: () => engine.inspect(idOf(1)) }[question];
      let ok = true;
      const ms = await elapsed(async () => { ok = (await ask()).ok; });
      for (const connection of open) connection.destroy();
      server.close();
      expect({ ok, late: ms > 2 * 100 + SLACK_MS }).toEqual({ ok: false, late: false });
    }), runs(15));
  });

  it('for a process to end, whatever it does about its signals', async () => {
    const behaviour = fc.record({ termAfterMs: fc.option(fc.nat(20_000), { nil: null }), killAfterMs: fc.option(fc.nat(8000), { nil: null }), becomes: fc.constantFrom('nothing', 'zombie', 'another'), refusedAt: fc.option(fc.nat(2), { nil: null }) });
    await fc.assert(fc.asyncProperty(fc.array(behaviour, { minLength: 1, maxLength: 6 }), fc.constantFrom(1000, 10_000, 30_000), fc.boolean(), async (all, termGraceMs, listsZombies) => {
      let now = 0;
      const sent: { readonly pid: number; readonly signal: string; readonly at: number }[] = [];
      const asked = new Map<number, number>();
      const stateOf = (pid: number): Exclude<ProcessState, 'unreadable'> => {
        const one = all[pid - 100];
        if (one === undefined) return null;
        const due = sent.some((each) => each.pid === pid && now - each.at >= ((each.signal === 'SIGTERM' ? one.termAfterMs : one.killAfterMs) ?? Infinity));
        if (!due) return { startTicks: pid, runState: 'S' };
        return one.becomes === 'nothing' ? null : one.becomes === 'zombie' ? { startTicks: pid, runState: 'Z' } : { startTicks: pid + 1, runState: 'S' };
      };
      const targets = all.map((_, n): ProcessTarget => ({ kind: 'process', identity: { pid: 100 + n, startTicks: 100 + n, bootId: BOOT }, pid: 100 + n, name: 'x', containerId: idOf(1), gpuUuids: [] }));
      const results = await endProcesses(
        { clock: { now: () => now, monotonicMs: () => now, sleep: async (ms) => { now += ms; } }, termGraceMs, stateOf, stopping: () => false, signal: (pid, signal) => { sent.push({ pid, signal, at: now }); } },
        targets,
        {
          mayEnd: async ({ pid }) => {
            const times = asked.get(pid) ?? 0;
            asked.set(pid, times + 1);
            return all[pid - 100]?.refusedAt === times ? { result: 'refused', reason: 'looks-differ', detail: '' } : null;
          },
          stillListed: async () => (listsZombies ? new Set(targets.map(({ pid }) => pid)) : new Set()),
        },
      );
      expect(now).toBeLessThanOrEqual(termGraceMs + 5000 + 200);
      expect(results).toHaveLength(all.length);
      targets.forEach(({ pid }, n) => {
        const signals = sent.filter((each) => each.pid === pid);
        // TERM once, KILL at most once and not before the grace is over.
        expect([[], ['SIGTERM'], ['SIGTERM', 'SIGKILL']]).toContainEqual(signals.map(({ signal }) => signal));
        if (signals[1] !== undefined) expect(signals[1].at).toBeGreaterThanOrEqual(termGraceMs);
        expect(signals.length).toBeLessThanOrEqual(asked.get(pid) ?? 0);
        const state = stateOf(pid);
        const result = results[n]?.result;
        if (result === 'done') expect(state === null || state.startTicks !== pid || (state.runState === 'Z' && !listsZombies)).toBe(true);
        if (all[n]?.refusedAt === 0) expect({ result, signals }).toEqual({ result: 'refused', signals: [] });
      });
    }), runs(400));
  });

  it('for a pass: whatever the host does, it is over soon after its last question', async () => {
    await fc.assert(fc.asyncProperty(world, fc.constantFrom('no', 'term', 'kill'), fc.integer({ min: 0, max: 60_000 }), async (each, stubborn, observationMs) => {
      const bench = benchOf({ ...each, stubborn: () => stubborn, observationMs });
      await runPass(bench.parts, passOptions(), releaseStale);
      const waits = each.config.orphans.confirmAfterMs + each.config.orphans.termGraceMs + 5000 + 5000 + 500;
      const observations = bench.calls.filter((call) => call === 'observer.observe').length;
      expect(bench.now - each.now).toBeLessThanOrEqual(waits + observations * observationMs);
      // Rounds look once each, a reset twice besides.
      expect(observations).toBeLessThanOrEqual(5 + 2 * each.host.gpus.length);
    }), runs(300));
  });

  it('a pass that is asked to end begins no further act', async () => {
    let begun = 0;
    let refused = 0;
    await fc.assert(fc.asyncProperty(world, fc.nat(50), async (each, at) => {
      let calls = 0;
      const late: string[] = [];
      const stopped = (): boolean => calls > at;
      const bench = benchOf({
        ...each, stubborn: () => 'term', stopping: () => (stopped() ? 'the pass was asked to end by SIGTERM' : null),
        onCall: (port) => { calls += 1; if (port === 'actor.signal') late.push(...(calls - 1 > at + 1 ? [port] : [])); },
      });
      const report = await runPass(bench.parts, passOptions(), releaseStale);
      begun += bench.acts.length;
      refused += report.outcomes.filter(({ reason }) => reason === 'interrupted').length;
      // Only the question that was already under way is followed by its signal.
      expect(late).toEqual([]);
      expect(bench.events.at(-1)?.action).toBe('pass.ended');
    }), runs(300));
    expect(Math.min(begun, refused)).toBeGreaterThan(0);
  });
});
