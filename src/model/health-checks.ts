import type { Severity } from './finding.ts';

/** One thing that is looked at on every device: what it reads, what it says, and on whose word. */
export interface HealthCheck {
  /** Of its finding: a contract, may be added to, never renamed. */
  readonly id: string;
  readonly severity: Severity;
  /** The elements of `nvidia-smi -q -x`, or what else it is concluded from. */
  readonly reads: string;
  readonly remedy: string;
  /** Whose word it is, with its date. */
  readonly source: string;
  /** The first driver branch that has the reading; null: every one. */
  readonly minDriver: string | null;
  /** Null: there is nothing to set. */
  readonly threshold: { readonly value: number; readonly meaning: string } | null;
}

const SMI = 'nvidia-smi 595.80: its XML and --help-query-gpu (read 2026-11-22)';
const NVML = 'NVML API reference, nvmlDeviceGpuRecoveryAction_t, change log to 615 (read 2026-11-22)';
const MEMORY = 'NVIDIA GPU Memory Error Management, DA-09826-002 (December 2022; online edition read 2026-11-22)';
const XID = 'NVIDIA Xid catalogue (2025-10-29)';
const OURS = 'a comparison of seven public health checkers (2026-11)';

const RESET = 'gpuctl resets it at the next moment when nothing refers to it';
const REPLACE = 'take the GPU out of use and have the board checked for replacement';
const DRAIN = 'drain the GPU and reset it';
const ERRORS = 'drain the GPU and reset it (gpuctl does so by itself where the board asks for it); if it comes again, have the board checked';
const REBOOT = 'drain the host and reboot it; a GPU reset does not help';
const COOL = 'look at the cooling: fans, air flow, dust, the temperature of the room';
const ACCEPT = 'or, after a change of hardware that is as it should be: gpuctl health-check --baseline accept --device GPU';

type Row = Pick<HealthCheck, 'id' | 'severity' | 'reads' | 'remedy'> & Partial<HealthCheck>;

function check(row: Row): HealthCheck {
  return { source: SMI, minDriver: null, threshold: null, ...row };
}

function recovery(action: string, remedy: string, minDriver = '565'): HealthCheck {
  const reads = minDriver === '535' ? 'gpu_recovery_action; before 565 gpu_reset_status' : 'gpu_recovery_action';
  return check({ id: `gpu.recovery.${action}`, severity: 'critical', reads, remedy, source: NVML, minDriver });
}

/** Every check of a board's own readings, in the order in which findings are listed. */
export const HEALTH_CHECKS: readonly HealthCheck[] = [
  check({ id: 'gpu.fault', severity: 'critical', reads: 'an NVML error text in place of any value, or a line that nvidia-smi prints about the GPU', remedy: 'look at the kernel log; a lost GPU needs a reboot', source: 'nvmlErrorString of NVML 590, and nvidia-smi 352 to 595 as found (2026-11)' }),
  recovery('reset', RESET, '535'),
  recovery('drain-and-reset', RESET, '535'),
  recovery('reboot', REBOOT),
  recovery('drain-p2p', 'end what uses peer-to-peer (NVLink) traffic on this host; the board then asks for one of the other actions'),
  recovery('imex-domain-reset', 'drain every host of the NVLink domain and reset the IMEX domain; a reset of this GPU alone does not help'),
  recovery('bus-reset', 'drain the GPU and reset its bus by hand: nvidia-smi -r bus -i BUS (590 and later); gpuctl does not do it', '590'),
  recovery('system-reboot', 'drain the host and reboot it with its power cycled; a GPU reset does not help', '615'),
  recovery('other', 'this version of gpuctl does not know the action: follow NVIDIA’s instructions for it', '535'),
  check({ id: 'gpu.row_remap.failed', severity: 'critical', reads: 'remapped_rows/remapped_row_failure', remedy: 'replace the board', source: MEMORY, minDriver: '450' }),
  check({ id: 'gpu.row_remap.pending', severity: 'warning', reads: 'remapped_rows/remapped_row_pending', remedy: RESET, source: MEMORY, minDriver: '450' }),
  check({ id: 'gpu.row_remap.uncorrectable', severity: 'warning', reads: 'remapped_rows/remapped_row_unc', remedy: REPLACE, source: MEMORY, minDriver: '450', threshold: { value: 512, meaning: 'rows remapped for uncorrectable errors; more is a finding' } }),
  check({ id: 'gpu.ecc.uncorrectable', severity: 'critical', reads: 'ecc_errors/volatile: uncorrectable DRAM errors, double-bit ones of device memory before Turing; above the baseline', remedy: ERRORS, source: MEMORY, threshold: { value: 0, meaning: 'errors above the baseline; more is a finding' } }),
  check({ id: 'gpu.ecc.sram_uncorrectable', severity: 'critical', reads: 'ecc_errors/volatile: uncorrectable SRAM errors (parity and SEC-DED), double-bit ones outside device memory before Turing; above the baseline', remedy: ERRORS, source: MEMORY, threshold: { value: 0, meaning: 'errors above the baseline; more is a finding' } }),
  check({ id: 'gpu.ecc.sram_threshold', severity: 'critical', reads: 'ecc_errors/aggregate/sram_threshold_exceeded', remedy: REPLACE, source: MEMORY, minDriver: '550' }),
  check({ id: 'gpu.ecc.channel_repair_pending', severity: 'critical', reads: 'ecc_errors/channel_repair_pending', remedy: `${DRAIN}; gpuctl does so by itself only where the recovery action asks for it`, source: SMI, minDriver: '580' }),
  check({ id: 'gpu.ecc.tpc_repair_pending', severity: 'critical', reads: 'ecc_errors/tpc_repair_pending', remedy: RESET, source: `${XID}, Xid 156`, minDriver: '580' }),
  check({ id: 'gpu.ecc.unrepairable_memory', severity: 'critical', reads: 'ecc_errors/unrepairable_memory', remedy: REPLACE, minDriver: '590' }),
  check({ id: 'gpu.ecc.corrected', severity: 'warning', reads: 'ecc_errors/volatile: correctable errors, growth over the last one to two hours', remedy: 'running work is right; if it lasts, have the board checked', source: `gpuctl’s own figure, after ${OURS}`, threshold: { value: 1000, meaning: 'corrected errors an hour; more is a finding' } }),
  check({ id: 'gpu.retired_pages.limit', severity: 'critical', reads: 'retired_pages: single and double bit retired_count', remedy: REPLACE, source: `${MEMORY}: at most 64 pages; the figure after ${OURS}`, threshold: { value: 60, meaning: 'retired pages; so many or more are a finding' } }),
  check({ id: 'gpu.retired_pages.many', severity: 'warning', reads: 'retired_pages: single and double bit retired_count', remedy: 'watch it; have the board checked if it grows', source: OURS, threshold: { value: 10, meaning: 'retired pages; so many or more are a finding' } }),
  check({ id: 'gpu.retired_pages.pending', severity: 'warning', reads: 'retired_pages/pending_retirement', remedy: RESET, source: MEMORY }),
  check({ id: 'gpu.slowdown.thermal', severity: 'warning', reads: 'clocks_event_reasons (before 535 clocks_throttle_reasons): hw_thermal_slowdown; from 580 the growth of its counter over the last one to two hours', remedy: COOL, threshold: { value: 1000, meaning: 'milliseconds of slow-down by the counter; more is a finding' } }),
  check({ id: 'gpu.slowdown.power_brake', severity: 'warning', reads: 'clocks_event_reasons (before 535 clocks_throttle_reasons): hw_power_brake_slowdown; from 580 the growth of its counter over the last one to two hours', remedy: 'look at the power supplies and at the limits of the chassis', threshold: { value: 1000, meaning: 'milliseconds of slow-down by the counter; more is a finding' } }),
  check({ id: 'gpu.slowdown.hw', severity: 'warning', reads: 'clocks_event_reasons (before 535 clocks_throttle_reasons): hw_slowdown, where neither heat nor the power brake explains it', remedy: 'look at power supplies and cooling if it is there again at the next pass; a change of clocks shows it for a moment' }),
  check({ id: 'gpu.temperature', severity: 'warning', reads: 'temperature: gpu_temp_tlimit against gpu_temp_slow_tlimit_threshold, else gpu_temp against gpu_temp_slow_threshold', remedy: COOL, threshold: { value: 0, meaning: 'degrees Celsius left before the hardware slows down; so few or fewer are a finding' } }),
  check({ id: 'gpu.fabric', severity: 'critical', reads: 'fabric: state and status, where the board has them', remedy: 'look at nvidia-fabricmanager (systemctl status nvidia-fabricmanager): CUDA does not start on this GPU without it', minDriver: '525' }),
  check({ id: 'gpu.pcie.width', severity: 'warning', reads: 'pci/pci_gpu_link_info/link_widths/current_link_width in P0, below the baseline', remedy: `reseat the board or its riser; ${ACCEPT}` }),
  check({ id: 'gpu.pcie.gen', severity: 'warning', reads: 'pci/pci_gpu_link_info/pcie_gen/current_link_gen in P0, below the baseline', remedy: `reseat the board or its riser, look at the firmware settings; ${ACCEPT}` }),
  check({ id: 'gpu.pcie.replay', severity: 'warning', reads: 'pci/replay_counter, growth over the last one to two hours', remedy: 'a few are no harm; if they go on, reseat the board or its riser', source: OURS, threshold: { value: 0, meaning: 'replays; more is a finding' } }),
  check({ id: 'gpu.ghost_memory', severity: 'warning', reads: 'fb_memory_usage/used above the baseline with nobody on the device: no listed process, no claim of a running container; at least 3 looks in a row over at least 10 minutes', remedy: 'above dirty.memory gpuctl resets it when nothing refers to it; below, gpuctl reset GPU by hand', source: 'gpuctl’s own rule (2026-11)', threshold: { value: 512, meaning: 'MiB above the baseline; more is a finding' } }),
  check({ id: 'gpu.mig.pending', severity: 'warning', reads: 'mig_mode: current_mig, pending_mig', remedy: DRAIN, minDriver: '450' }),
  check({ id: 'gpu.ecc.pending', severity: 'warning', reads: 'ecc_mode: current_ecc, pending_ecc', remedy: DRAIN }),
  check({ id: 'gpu.persistence.off', severity: 'warning', reads: 'persistence_mode on a data-centre board (product_brand Tesla or NVIDIA)', remedy: 'systemctl enable --now nvidia-persistenced, or nvidia-smi -pm 1', source: OURS }),
  check({ id: 'gpu.processes.unknown', severity: 'warning', reads: 'processes against --query-compute-apps', remedy: 'nothing is done to this device until nvidia-smi answers in full', source: 'nvidia-smi 470 to 555 with faults injected beneath it (2026-11)' }),
];

/** Findings that are concluded elsewhere and can be switched off as well, with what they tell of. `#`: a number. */
export const FURTHER_FINDINGS: Readonly<Record<string, string>> = {
  'gpu.lost': 'a GPU of the inventory is missing',
  'gpu.unlisted': 'a GPU is on the PCI bus, and nvidia-smi does not describe it',
  'gpu.xid.#': 'the driver wrote an Xid of this code to the kernel log',
  'gpu.xid.#.repeated': 'the same application Xid again and again on one GPU',
  'xid.#.widespread': 'the same application Xid on many GPUs',
  'nvswitch.sxid.#': 'the driver wrote an SXid of this code to the kernel log',
  'gpu.allocation.conflict': 'several live containers claim one device',
  'gpu.dirty': 'a reset is called for, and something stands against it',
  'gpu.dirty.mig': 'a reset is called for, and MIG is on',
  'gpu.dirty.shared': 'a reset is called for, and a container claims the device',
  'gpu.memory.unexplained': 'memory is in use that no process explains, not for long yet',
  'gpu.orphan': 'a compute process outlived its container',
  'gpu.orphan.unconfirmed': 'so it seems; the next pass looks again',
  'gpu.mps_client': 'an orphan is a client of an MPS server that has other clients',
  'gpu.ghost': 'the driver lists a process that does not exist',
  'gpu.waste': 'a device was held and hardly used',
  'process.foreign': 'a compute process of a container that this engine does not know',
  'process.stray': 'a compute process in no container that nothing permits',
  'process.stuck': 'a compute process in uninterruptible sleep',
  'process.zombie': 'a dead compute process that waits for its parent',
  'process.unknown': 'a compute process of which it cannot be told whose it is',
  'claim.unresolved': 'a container refers to a device that is not there',
};

/** Findings that no configuration switches off, with what they tell of: without them gpuctl would be silent about what keeps it from its work. */
export const FIXED_FINDINGS: Readonly<Record<string, string>> = {
  'driver.mismatch': 'the kernel module that is loaded and the driver’s library are of different versions: reboot, or load the module anew; a reset changes nothing',
  'driver.hung': 'nvidia-smi hangs in the kernel; nothing asks it again until it answers a probe or the host has rebooted',
  'gpu.quarantined': 'the board was reset too often, and is not reset or offered any more',
  'gpu.reset.setting_not_restored': 'a reset took a setting of the board that could not be put back',
  'gpu.reset.service_not_restored': 'a service was stopped for a reset and does not run again',
  'source.*': 'nvidia-smi, the engine, /proc or the kernel log told nothing (`.failed`), or not all (`.partial`)',
  'host.clock.jumped': 'the wall clock moved while the host was up',
  'limits.not_configured': 'a container would be stopped or removed, or its owner warned, if a file set limits',
  'container.protected.past_limit': 'a container is past its limit and is kept, as it is protected',
  'container.dead': 'the engine could not remove a container',
  'container.removing': 'the engine is removing a container',
  'container.infrastructure.unlisted': 'a container says by a label that it is part of the host, and the configuration does not list it',
  'container.*.due': 'a warning, a stop or a removal that a report does not carry out',
  'container.*.refused': 'a warning, a stop or a removal that the last check did not allow',
  'container.*.failed': 'a stop or a removal that was tried and failed',
  'reset.blocked': 'a reset that was asked for by hand was not done',
  'breaker.tripped': 'a pass wanted more acts of one kind than its budget, and did none of that kind',
  'events.unwritable': 'the events of this pass could not be written',
};

/** Is there a finding of this id that can be switched off? */
export function isSwitchable(id: string): boolean {
  return HEALTH_CHECKS.some((each) => each.id === id) || Object.hasOwn(FURTHER_FINDINGS, id.replace(/\.\d{1,6}(?=\.|$)/, '.#'));
}

/** The check with this id; throws where there is none, which is a bug. */
export function healthCheckOf(id: string): HealthCheck {
  const found = HEALTH_CHECKS.find((each) => each.id === id);
  if (found === undefined) throw new Error(`there is no health check ${id}`);
  return found;
}
