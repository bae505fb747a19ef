import { ConfigError } from '../config/mistake.ts';
import type { LoadedConfig, Mistake } from '../config/types.ts';
import type { JobName } from '../model/schedule.ts';
import { readDurations } from '../record/ledger/durations.ts';
import { type Collision, findCollisions, likelyDuration } from '../schedule/collisions.ts';
import { isTolerable, renderCollision } from '../schedule/render-collision.ts';
import { patternProblem, slotsOf } from '../schedule/slots.ts';
import { renderLocal } from '../schedule/zone.ts';
import { openSink } from './event-sink.ts';
import type { Globals } from './globals.ts';
import { ledgerFile } from './ledger-file.ts';

/** What the proof rests on. */
export interface CollisionReport {
  readonly collisions: readonly Collision[];
  /** Milliseconds that each job is likely to run. */
  readonly likelyMs: ReadonlyMap<JobName, number>;
  /** Jobs whose likely duration was measured; the others count with the deadline. */
  readonly measured: ReadonlySet<JobName>;
  /** Why nothing measured is known; null: it is. */
  readonly unreadable: string | null;
}

/** Tries the schedule over the whole calendar, with what the ledger says about durations. Throws ConfigError for a pattern that is read in two ways. */
export function checkCollisions({ config, originOf }: Pick<LoadedConfig, 'config' | 'originOf'>, now: number): CollisionReport {
  const slots = slotsOf(config.schedule);
  const ambiguous = slots.flatMap(({ job, pattern }) => {
    const message = patternProblem(pattern);
    return message === null ? [] : [mistakeAt(job, message, originOf)];
  });
  if (ambiguous.length > 0) throw new ConfigError(ambiguous);
  const { byJob, unreadable } = readDurations(ledgerFile(config));
  const likelyMs = new Map(slots.map(({ job }) => [job, likelyDuration(byJob.get(job) ?? [])]));
  const collisions = findCollisions({ slots, now, likelyMs: (job) => likelyMs.get(job) ?? 0 });
  return { collisions, likelyMs, measured: new Set(slots.map(({ job }) => job).filter((job) => byJob.has(job))), unreadable };
}

/** Throws ConfigError (exit 2) for a schedule whose passes collide, and tells the event stream where gpuctl runs as root. */
export function refuseCollisions(loaded: Pick<LoadedConfig, 'config' | 'originOf'>, globals: Globals, now = Date.now()): CollisionReport {
  const report = checkCollisions(loaded, now);
  const refused = report.collisions.filter((each) => !isTolerable(each));
  if (refused.length === 0) return report;
  if (process.geteuid?.() === 0) tell(refused, loaded, globals);
  throw new ConfigError(refused.map((each) => mistakeAt(each.second, renderCollision(each), loaded.originOf)));
}

function tell(collisions: readonly Collision[], loaded: Pick<LoadedConfig, 'config'>, globals: Globals): void {
  const sink = openSink(loaded, globals, null);
  for (const each of collisions) {
    sink.emit({ action: 'schedule.collision', message: renderCollision(each), reason: each.kind, facts: { jobs: [each.first, each.second], first_at: renderLocal(each.localMs), apart_ms: each.apartMs } });
  }
  sink.close();
}

function mistakeAt(job: JobName, message: string, originOf: LoadedConfig['originOf']): Mistake {
  const key = `schedule.${job}`;
  const origin = originOf(key);
  return { file: origin?.file ?? 'built-in defaults', line: origin?.line ?? null, column: 1, key, message };
}
