import * as v from 'valibot';
import { FURTHER_FINDINGS, HEALTH_CHECKS, isSwitchable } from '../model/health-checks.ts';
import { absolutePath, duration, durationOrNever, type Field, field, flag, list, number, oneOf, percent, section, size, text, whole } from './fields.ts';
import { exemptionSchema, limitsSchema } from './limits-schema.ts';
import { quote } from './mistake.ts';
import { nearest } from './nearest.ts';
import { notifySchema } from './notify-schema.ts';
import { USER_NAME_FORM, USER_OR_UID } from './names.ts';
import { type Parsed, parsePercent } from './units.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** Half of what a pass may take as a whole. */
const LONGEST_WAIT = 5 * MINUTE;
const MIB = 1024 ** 2;

const label = text(/^\S+$/, 'the name of a label');

const engine = v.pipe(
  section({
    host: v.exactOptional(field(parseHost)),
    timeout: duration(SECOND, LONGEST_WAIT),
  }),
  v.transform(({ host, timeout }) => ({
    /** `unix://` and an absolute path; null: not said, so DOCKER_HOST or the default counts. */
    host: host ?? null,
    timeoutMs: timeout,
  })),
);

function parseHost(value: unknown): Parsed<string> {
  if (typeof value === 'string' && /^unix:\/\/\/[^\p{Cc}]+$/u.test(value)) return { value };
  const remote = /^(?:tcp|ssh|https?|npipe|fd):/.exec(String(value));
  const expected = `expected unix:///path/of/the/socket; this is ${quote(value)}`;
  return { problem: remote === null ? expected : `${expected}: gpuctl acts on the processes of this host, so the engine must be a local one` };
}

const nvidiaSmi = v.pipe(
  section({
    path: text(/^(?:\/.*)?[^/]+$/, 'a program name, found on PATH, or an absolute path'),
    timeout: duration(SECOND, LONGEST_WAIT),
  }),
  v.transform(({ path, timeout }) => ({ path, timeoutMs: timeout })),
);

const labels = section({ device: list(label), owner: list(label), type: list(label), protected: list(label), infrastructure: list(label) });

const infrastructure = section({
  images: list(text(/^\S+$/, 'the name of an image')),
  names: list(text(/^\S+$/, 'the name of a container')),
});

const idle = v.pipe(
  section({
    gpu_percent: number(0, 100),
    cpu_percent: number(0, 100_000),
    network: size(),
    young_container_grace: duration(0),
    high_demand: v.pipe(
      section({ at: percent(), factor: number(0.01, 1) }),
      v.transform(({ at, factor }) => ({ atPercent: at, factor })),
    ),
  }),
  v.transform(({ gpu_percent, cpu_percent, network, young_container_grace, high_demand }) => ({
    gpuPercent: gpu_percent,
    /** Of one core: a container may use more than 100. */
    cpuPercent: cpu_percent,
    /** Per five minutes. */
    networkBytes: network,
    youngContainerGraceMs: young_container_grace,
    highDemand: high_demand,
  })),
);

const runtime = section({ counts: oneOf('since-first-start', 'since-last-start') });

const warningPair = field((value): Parsed<readonly [number, number]> => {
  const parts = Array.isArray(value) ? value.map(parsePercent) : [];
  const [first, final] = parts.map((part) => ('value' in part ? part.value : 100));
  if (parts.length === 2 && first !== undefined && final !== undefined && first < final && final < 100) return { value: [first, final] };
  return { problem: `expected the warning and the final warning, such as [80%, 95%], the first below the second, both below 100%; this is ${quote(value)}` };
});

const warnings = v.pipe(
  section({ idle: warningPair, runtime: warningPair }),
  v.transform((pairs) => ({ idlePercents: pairs.idle, runtimePercents: pairs.runtime })),
);

const leftovers = v.pipe(
  section({ created_timeout: durationOrNever({ zero: false }), all: flag() }),
  v.transform(({ created_timeout, all }) => ({ createdTimeoutMs: created_timeout, all })),
);

const orphans = v.pipe(
  section({
    confirm_after: duration(SECOND, LONGEST_WAIT),
    term_grace: duration(SECOND, LONGEST_WAIT),
    host_processes: oneOf('report'),
    permit: section({
      users: list(text(USER_OR_UID, `${USER_NAME_FORM}, or a uid in quotes`)),
      units: list(text(/^[\w:.\\@-]+\.(?:service|scope|slice)$/, 'a systemd unit such as nvidia-dcgm.service')),
      names: list(text(/^\S(?:.*\S)?$/, 'the name of a program')),
    }),
  }),
  v.transform(({ confirm_after, term_grace, host_processes, permit }) => ({
    confirmAfterMs: confirm_after, termGraceMs: term_grace, hostProcesses: host_processes, permit,
  })),
);

const dirty = v.pipe(section({ memory: size() }), v.transform(({ memory }) => ({ memoryMiB: memory / MIB })));

/** Pausing these would take away what says whether the device is in use, or gpuctl itself. */
const NEVER_PAUSED = /^(?:docker|containerd|podman|gpuctl(?:-[\w-]+)?)\.service$/;

const pausable = field((value): Parsed<string> => {
  const unit = v.safeParse(text(/^[A-Za-z0-9_][\w:.\\@-]*\.service$/, 'a systemd service such as nvidia-dcgm.service'), value);
  if (!unit.success) return { problem: unit.issues[0].message };
  return NEVER_PAUSED.test(unit.output) ? { problem: `${unit.output} cannot be paused: a reset is decided by what it says` } : { value: unit.output };
});

const reset = v.pipe(
  section({
    policy: oneOf('when-dirty', 'after-orphans', 'never'),
    cooldown: duration(SECOND),
    max_per_day: whole(1, 100),
    pause_services: list(pausable),
  }),
  v.transform(({ policy, cooldown, max_per_day, pause_services }) => ({
    policy, cooldownMs: cooldown, maxPerDay: max_per_day, pauseServices: pause_services,
  })),
);

/** What one pass may do of one kind: the larger of a number and a share; null: no share. */
interface Budget {
  readonly count: number;
  readonly sharePercent: number | null;
}

const budgetCount = whole(0, 10_000);

function budget({ share }: { readonly share: boolean }): Field<Budget> {
  const form = share ? 'a whole number from 0 to 10000, or one with a share such as [10, 25%]' : 'a whole number from 0 to 10000';
  return field((value) => {
    const [count, part] = Array.isArray(value) && value.length === 2 && share ? value : [value, null];
    const percentOf = part === null ? { value: null } : parsePercent(part);
    return v.is(budgetCount, count) && 'value' in percentOf
      ? { value: { count: Number(count), sharePercent: percentOf.value } }
      : { problem: `expected ${form}; this is ${quote(value)}` };
  });
}

const breaker = section({
  kills: budget({ share: false }),
  stops: budget({ share: true }),
  removals: budget({ share: true }),
  releases: budget({ share: true }),
  resets: budget({ share: false }),
});

const findingId = field((value): Parsed<string> => {
  if (typeof value === 'string' && isSwitchable(value)) return { value };
  const guess = typeof value === 'string' ? nearest(value, [...HEALTH_CHECKS.map(({ id }) => id), ...Object.keys(FURTHER_FINDINGS)]) : null;
  return { problem: `expected the id of a finding; this is ${quote(value)}${guess === null ? '' : `; did you mean ${guess}?`}` };
});

const health = section({
  disable: list(findingId),
  thresholds: section(Object.fromEntries(HEALTH_CHECKS.flatMap(({ id, threshold }) => (threshold === null ? [] : [[id, v.exactOptional(number(0, 1e12))]])))) as unknown as Field<Readonly<Record<string, number>>>,
});

/** Five fields of what cron and gpuctl's own daemon both understand; `checkCron` looks at the numbers. */
const cron = v.pipe(
  text(/^[\d*,/-]+( +(?:[\d*,/-]+|[A-Za-z]{3})){4}$/, 'five fields such as "5 * * * *"'),
  v.transform((line) => line.replaceAll(/ +/g, ' ')),
);

const schedule = section({ 'release-stale': cron, 'check-idle': cron, 'enforce-runtime': cron, 'cleanup-containers': cron, sample: cron });

const events = section({ file: absolutePath() });
const metrics = section({ textfile: absolutePath() });

const state = v.pipe(
  section({ dir: absolutePath(), keep_samples: duration(HOUR) }),
  v.transform(({ dir, keep_samples }) => ({ dir, keepSamplesMs: keep_samples })),
);

const version = field((value): Parsed<1> => value === 1 ? { value: 1 } : { problem: `this gpuctl understands version 1 only; this is ${quote(value)}` });

/** The whole file, complete; each transformed section is a section of Config. */
export const configSchema = v.pipe(
  section({
    version, engine, nvidia_smi: nvidiaSmi, labels, infrastructure, limits: limitsSchema, exemptions: list(exemptionSchema), idle, runtime,
    warnings, leftovers, orphans, dirty, reset, breaker, health, schedule, notify: notifySchema, events, metrics, state,
  }),
  v.transform(({ version: _version, nvidia_smi, ...rest }) => ({ nvidiaSmi: nvidia_smi, ...rest })),
);
