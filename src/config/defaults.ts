import { parse } from 'valibot';
import { configSchema } from './schema.ts';
import type { Config, Tree } from './types.ts';

/**
 * The defaults, as a file would write them. Groups, users and exemptions have none. `engine.host` has none either: it is
 * DOCKER_HOST or the engine's usual socket.
 */
export const rawDefaults = {
  version: 1,
  engine: { timeout: '20s' },
  nvidia_smi: { path: 'nvidia-smi', timeout: '60s' },
  labels: {
    device: ['gpuctl.device', 'gpuctl.devices', 'ds01.gpu.uuid', 'ds01.gpu.uuids', 'ds01.gpu_slot'],
    owner: ['gpuctl.owner', 'ds01.user', 'aime.mlc.USER'],
    type: ['gpuctl.type', 'ds01.container_type', 'ds01.interface'],
    protected: ['gpuctl.protected', 'ds01.protected'],
    infrastructure: ['gpuctl.infrastructure', 'ds01.monitoring'],
  },
  infrastructure: { images: [], names: [] },
  limits: {
    trust_labels: [],
    default: {
      idle_timeout: '30m', max_runtime: '24h', gpu_hold_after_stop: '15m', container_hold_after_stop: '30m',
      stop_grace: '60s', idle_checks: 3, keep_alive_max: '24h',
    },
    types: {
      api: { idle_timeout: 'never', gpu_hold_after_stop: 0 },
      devcontainer: { max_runtime: '168h' },
      compose: { max_runtime: '72h' },
      docker: { max_runtime: '48h' },
      orchestration: { gpu_hold_after_stop: 0 },
    },
    groups: {},
    users: {},
  },
  exemptions: [],
  idle: { gpu_percent: 5, cpu_percent: 2, network: '1MiB', young_container_grace: '30m', high_demand: { at: '80%', factor: 0.5 } },
  runtime: { counts: 'since-first-start' },
  warnings: { idle: ['80%', '95%'], runtime: ['75%', '90%'] },
  leftovers: { created_timeout: '30m', all: false },
  orphans: {
    confirm_after: '2s', term_grace: '10s', host_processes: 'report',
    permit: {
      users: [],
      units: ['nvidia-persistenced.service', 'nvidia-dcgm.service'],
      names: ['nv-hostengine', 'nvidia-cuda-mps-server', 'Xorg'],
    },
  },
  dirty: { memory: '1GiB' },
  reset: { policy: 'when-dirty', cooldown: '6h', max_per_day: 3, pause_services: [] },
  breaker: { kills: 20, stops: [10, '25%'], removals: [50, '25%'], releases: [20, '50%'], resets: 2 },
  health: { disable: [], thresholds: {} },
  schedule: {
    'release-stale': '5 * * * *', 'check-idle': '20 * * * *', 'enforce-runtime': '35 * * * *',
    'cleanup-containers': '50 * * * *', sample: '2-59/5 * * * *',
  },
  notify: { owner: ['tty'], admin: [], cooldown: '4h' },
  events: { file: '/var/log/gpuctl/events.jsonl' },
  metrics: { textfile: '/var/lib/node_exporter/textfile_collector/gpuctl.prom' },
  state: { dir: '/var/lib/gpuctl', keep_samples: '30d' },
} as const satisfies Tree;

/** The configuration of a host without a file. */
export function defaultConfig(): Config {
  return parse(configSchema, rawDefaults);
}
