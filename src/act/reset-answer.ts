import type { ChildResult } from '../callout/child.ts';
import { normalizeBusId } from '../model/device.ts';

/** Why nvidia-smi did not reset a GPU. `hung`: it did not end in time, so it is not known what it did. */
export type ResetRefusal = 'in-use' | 'nvlink' | 'primary' | 'lost' | 'unstable' | 'not-permitted' | 'not-supported' | 'driver-stuck' | 'hung' | 'unrecognised';

export type ResetAnswer =
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly why: ResetRefusal; readonly detail: string };

/**
 * What nvidia-smi's answer to `-r -i BUS` means. Texts and exit codes differ by driver and generation, so only the success
 * text for this very GPU counts as success; what is not recognised is a refusal. Sources: the unmodified programs
 * 535.274.02 and 555.58.02 with each NVML error injected beneath them, and public reports (2026-11).
 */
export function parseResetAnswer(attempt: ChildResult, pciBusId: string): ResetAnswer {
  const text = [attempt.stdout, attempt.stderr].join('\n').trim().replace(/\s+/g, ' ').slice(0, 500);
  const done = [...attempt.stdout.matchAll(/^GPU ([0-9a-f:.]+) was successfully reset/gim)].some((match) => isSame(match[1] ?? '', pciBusId));
  if (attempt.problem === null && attempt.exitCode === 0 && done) return { kind: 'done' };
  const why = whyRefused(attempt, text, pciBusId);
  const what = attempt.problem ?? `exit ${attempt.exitCode}`;
  return { kind: 'refused', why, detail: `nvidia-smi (${what}): ${text}${WAYS_OUT[why] === '' ? '' : `; ${WAYS_OUT[why]}`}` };
}

function whyRefused({ problem }: ChildResult, text: string, pciBusId: string): ResetRefusal {
  if (problem === 'timeout' || problem === 'hung') return 'hung';
  if (/unstable state/i.test(text)) return 'unstable';
  if (/is the primary GPU/i.test(text)) return 'primary';
  if (namesOthers(text, pciBusId) || /nvlink|together with|append .*(?:index|GPU)/i.test(text)) return 'nvlink';
  return TEXTS.find(([pattern]) => pattern.test(text))?.[1] ?? 'unrecognised';
}

const TEXTS: readonly (readonly [RegExp, ResetRefusal])[] = [
  [/GPU is lost/i, 'lost'],
  [/in use by another (?:client|process)/i, 'in-use'],
  [/Insufficient Permissions/i, 'not-permitted'],
  [/not supported/i, 'not-supported'],
  [/A GPU reset must occur|requires reset/i, 'driver-stuck'],
];

/** A set of GPUs that NVLink joins is refused as a whole, with every one of them in the list. */
function namesOthers(text: string, pciBusId: string): boolean {
  return [...text.matchAll(/\bGPU ([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])/gi)].some((match) => !isSame(match[1] ?? '', pciBusId));
}

/** Domains are written with four digits or eight. */
function isSame(busId: string, pciBusId: string): boolean {
  return normalizeBusId(busId) === pciBusId;
}

const WAYS_OUT: Readonly<Record<ResetRefusal, string>> = {
  'in-use': 'somebody has it open whom /proc does not show as a holder of its node: stop monitoring services such as DCGM or an exporter, or list them under reset.pause_services',
  nvlink: 'it is joined to other GPUs by NVLink, and gpuctl never resets more than the one: drain them all and reset them together by hand',
  primary: 'it drives the display of this host: only a reboot resets it',
  lost: 'only a reboot of the host brings it back',
  unstable: 'reboot the host',
  'not-permitted': 'run as root, outside of a container',
  'not-supported': 'this board or this virtual machine cannot reset it: reboot the host instead',
  'driver-stuck': 'the driver does not hand it out any more: reboot the host, or unload and load the driver',
  hung: 'see the kernel log; it is not known whether the reset took place',
  unrecognised: '',
};
