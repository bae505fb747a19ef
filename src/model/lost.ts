/** A GPU that this host has had, as the ledger remembers it: its inventory. Instants are milliseconds since 1970 UTC. */
export interface InventoryEntry {
  readonly gpuUuid: string;
  /** Where it was last seen. */
  readonly pciBusId: string;
  readonly name: string;
  readonly firstSeenAt: number;
  /** The first pass that did not see it; null: the last pass saw it. */
  readonly missingSince: number | null;
}

/** What one look says about the inventory that the ledger does not know yet. */
export interface InventoryNews {
  readonly seen: readonly Pick<InventoryEntry, 'gpuUuid' | 'pciBusId' | 'name'>[];
  /** UUIDs. */
  readonly missing: readonly string[];
}

/** An nvidia-smi that did not come back: nobody asks another one until it is gone and a probe was answered. */
export interface HungSmi {
  /** When the first of them hung, milliseconds since 1970 UTC. */
  readonly since: number;
  readonly bootId: string;
  /** The child that hung last; null: nothing of it was left to be named. */
  readonly pid: number | null;
  readonly startTicks: number | null;
}

/** A GPU of NVIDIA's on the PCI bus, whatever the driver says of it. */
export interface PciGpu {
  readonly pciBusId: string;
  /** The kernel driver that it is bound to; null: none. */
  readonly driver: string | null;
}

/** A process in uninterruptible sleep (state D). `command` was chosen by the process itself. */
export interface BlockedProcess {
  readonly pid: number;
  readonly command: string;
}

/** What the kernel says of GPUs without nvidia-smi. */
export interface KernelView {
  /** Null: the bus could not be read. Virtual functions, and devices that were handed to virtual machines, are left out. */
  readonly pciGpus: readonly PciGpu[] | null;
  /** Version of the nvidia module that is loaded; null: none is, or it does not say. */
  readonly moduleVersion: string | null;
  /** Looked for only where nvidia-smi hung: processes named nvidia… that are in state D. */
  readonly blocked: readonly BlockedProcess[];
}
