/**
 * Every reason code that a decision or a refusal can carry, with the sentence that explains it to an admin. Codes are a
 * contract with other people's scripts: they may be added, never renamed.
 */
export const REASONS = {
  // Ownership of a process
  'orphan-container-gone': 'its container is gone from the engine that ran it',
  'orphan-container-stopped': 'its container is not running any more',
  'running-container': 'it belongs to a running container',
  'container-not-settled': 'its container is neither running nor stopped (created, restarting, removing)',
  'other-manager': 'it belongs to another manager (session, virtual machine, Kubernetes, podman, LXC, Slurm, …)',
  'foreign-shim-alive': 'a live container shim still names its container: some other engine runs it',
  'foreign-engine-changed': 'the engine is not the one that the ledger knows',
  'foreign-pid-namespace': 'this engine never had its container, and some container init still owns its pid namespace',
  'foreign-podman': 'processes of podman are reported, never ended',
  'host-permitted': 'it is in no container, and its user, unit or name is permitted',
  'host-stray': 'it is in no container, and nothing in the configuration permits it',
  'ghost': 'the driver lists it, but no such process exists',
  'zombie': 'it is dead and waits for its parent; signals do nothing',
  'stuck': 'it is in uninterruptible sleep; signals do nothing until the kernel lets go',
  'own-process': 'it is gpuctl itself, an ancestor of it, or pid 1',
  'not-compute': 'it uses the device for graphics only',
  'mps-client': 'it is a client of an MPS server that has other clients',
  'process-unreadable': '/proc does not tell enough about it',
  'process-list-unknown': 'the process list of this device is not known',
  'process-unlisted': 'the driver does not list it any more',
  'process-gone': 'it has ended by itself',
  'identity-changed': 'the pid belongs to another process now',
  'engine-unknown': 'the engine did not answer for its container',
  'proc-unknown': '/proc could not be read completely',
  'not-confirmed': 'it was not seen on two looks',
  'looks-differ': 'the second look gave another answer than the first',
  // Release
  'gone': 'the container is gone',
  'hold-expired': 'the container has not run for longer than its hold',
  'no-hold': 'the container has stopped and its hold is 0',
  'still-running': 'the container runs',
  'within-hold': 'the container stopped less than its hold ago',
  'hold-never': 'its hold is never',
  'age-unknown': 'it is not known since when the container has not run (clock jumped, or no finish time)',
  'first-pass': 'no clock starts before the first pass of gpuctl on this host',
  'containers-unknown': 'the container list is not complete',
  'container-unknown': 'this container could not be inspected',
  'protected': 'the container is protected',
  // Reset
  'dirty-memory': 'device memory is in use that no process explains',
  'dirty-ghost': 'the driver lists a process that does not exist',
  'reset-asked': 'the board asks for a reset',
  'repair-pending': 'a memory repair waits for a reset',
  'clean': 'nothing calls for a reset',
  'blocked': 'something refers to the device or forbids a reset',
  'snapshot-too-old': 'the last observation was too old to act on',
  'no-longer-wanted': 'the device no longer needs it',
  // The pass
  'over-budget': 'the pass wanted more of these acts than its budget allows',
  'ledger-unwritable': 'the ledger cannot be written, so nothing is done',
  'conditional': 'decided only after the acts before it',
  'interrupted': 'the pass was asked to end',
  'not-yet-confirmed': 'the condition has not lasted long enough',
  'policy-never': 'reset.policy forbids it',
  'policy-after-orphans': 'reset.policy allows it only after an orphan was ended',
} as const;

export type ReasonCode = keyof typeof REASONS;
