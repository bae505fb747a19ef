import { readPeople } from '../../observe/users.ts';
import type { LoadedConfig } from '../../config/types.ts';
import { decideAll } from '../../passes/all-rounds.ts';
import { ExitCode } from '../../model/errors.ts';
import { observe, type Pass, type PassOptions } from '../../passes/pass.ts';
import type { PassReport } from '../../passes/report.ts';
import { runPass } from '../../passes/run-pass.ts';
import { seen } from '../../model/observation.ts';
import { compose, systemClock } from '../compose.ts';
import type { Globals } from '../globals.ts';
import { newPassId } from '../pass-id.ts';
import { writeBundle } from '../replay/bundle.ts';
import { steppedClock } from '../replay/clock.ts';
import { filesOf } from '../replay/contents.ts';
import { defaultsAlone, playing, type Replay } from '../replay/open.ts';
import { scrub } from '../replay/scrub.ts';
import { recorder, type Tape } from '../replay/tape.ts';
import type { Command } from '../run.ts';
import { version } from '../version.ts';

/**
 * `gpuctl capture FILE`: one look at everything, every rule asked, nothing done; all that went in lies in the file then. The
 * bundle is replayed before it is written: exit 1 where it leads to other decisions, which is said.
 */
export function captureCommand(file: string, { scrub: scrubbed = true }: { readonly scrub?: boolean }): Command {
  return async (loaded, globals) => {
    const { tape, report, at } = await capture(loaded);
    const kept = scrubbed ? scrub(tape, { permitted: loaded.config.orphans.permit.names, deviceLabels: loaded.config.labels.device, people: readPeople() }) : tape;
    const again = await decideOn(await defaultsAlone(), playing(kept, at));
    const manifest = { schema: 1, gpuctl: version, host: report.host, at, scrubbed } as const;
    writeBundle(file, filesOf(manifest, kept, { report: again, configuration: configurationOf(loaded, scrubbed) }), at);
    const same = JSON.stringify(gistOf(report)) === JSON.stringify(gistOf(again));
    if (globals.quiet !== true) process.stderr.write(`gpuctl: ${file} holds this host as it is now${scrubbed ? ', without names, environments, command lines and label values' : ', with all names'}; replay it with gpuctl health-check --replay ${file}\n`);
    if (!same) process.stderr.write('gpuctl: warning: replayed, it leads to other decisions than on this host\n');
    return same ? ExitCode.ok : ExitCode.findings;
  };
}

interface Captured {
  readonly tape: Tape;
  readonly report: PassReport;
  readonly at: number;
}

async function capture(loaded: LoadedConfig): Promise<Captured> {
  const { tape, part } = recorder();
  const at = systemClock.now();
  const report = await decideOn(loaded, steppedClock({ part }, systemClock.boot, { at, sleep: systemClock.sleep }));
  return { tape, report, at };
}

/** Everything that any pass would ask, as a dry run of the job that asks most. */
async function decideOn(loaded: LoadedConfig, world: Pick<Replay, 'seam' | 'clock'>): Promise<PassReport> {
  const options: PassOptions = { id: newPassId(), job: 'release-stale', dryRun: true, acts: true, records: false, overBudget: false, devices: [] };
  const globals: Globals = {};
  const composed = compose({ loaded, globals, options, stopping: () => null, ...world });
  try {
    return await runPass(composed.parts, options, askAll);
  } finally {
    composed.close();
  }
}

/** The rules first; then what other passes might ask of the policy and the ledger besides. */
async function askAll(pass: Pass): Promise<void> {
  const { snapshot } = await observe(pass);
  await decideAll(pass);
  const { policy, ownerOf, limits, clock } = pass.parts;
  const now = clock.now();
  for (const container of seen(snapshot.engine)?.containers ?? []) {
    ownerOf(container);
    if (!container.inspected) continue;
    policy.rulesOf(container);
    policy.limits?.rulesOf(container, now);
  }
  if (limits === undefined) return;
  const { ledger } = limits;
  for (const ask of [ledger.idleClocks, ledger.firstStarts, ledger.keepAlives, ledger.warnings, ledger.onceManaged, () => ledger.deviceUse(0)]) ask();
  await limits.nextRun('check-idle', now);
  await limits.nextRun('enforce-runtime', now);
}

/** What must be the same: names are not. */
function gistOf({ decisions, findings, exit }: PassReport): unknown {
  return [exit, decisions.map(({ round, verb, verdict, reason }) => [round, verb, verdict, reason]), findings.map(({ id, severity }) => [id, severity])];
}

/** For people to read. Receivers of alerts are secrets, and never in it; whom limits and exemptions name is private. */
function configurationOf({ config }: LoadedConfig, scrubbed: boolean): object {
  const { notify: _secret, ...rest } = config;
  if (!scrubbed) return rest;
  const { exemptions: _people, infrastructure: _names, labels: _labels, ...open } = rest;
  const { users: _users, groups: _groups, ...limits } = open.limits;
  return { ...open, limits, orphans: { ...open.orphans, permit: { ...open.orphans.permit, users: [] } } };
}
