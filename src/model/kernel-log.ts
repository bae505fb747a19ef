/** One error that the driver wrote to the kernel log: an Xid of a GPU, or an SXid of an NVSwitch. */
export interface XidEvent {
  readonly kind: 'xid' | 'sxid';
  readonly code: number;
  /** As `normalizeBusId` makes it; null: the line names the GPU by its UUID alone. */
  readonly pciBusId: string | null;
  /** Null: the line names the GPU by its bus id, as nearly all do. */
  readonly gpuUuid: string | null;
  /** The GPU instance of a GPU that is divided (MIG); null: none is named. */
  readonly gpuInstanceId: number | null;
  /** Whose work it hit, where the driver says so. For showing only: the name was chosen by the process. */
  readonly pid: number | null;
  readonly processName: string | null;
  /** What else the line says; one line, nothing in it drives a terminal. */
  readonly detail: string;
  /** Of the last of its lines, milliseconds since 1970 UTC; estimated from the time since boot. */
  readonly at: number;
  /** The kernel's own time of that line, microseconds since boot. */
  readonly bootUsec: number;
  /** The kernel's number of that line; null: read from the journal, which has none. */
  readonly sequence: number | null;
  /** How many lines that follow each other closely say the same. */
  readonly lines: number;
}

/** How far the kernel log of one boot was read. */
export interface KernelLogCursor {
  readonly bootId: string;
  /** Null: the log was read from the journal. */
  readonly sequence: number | null;
  /** Microseconds since boot of the newest line read. */
  readonly bootUsec: number;
  /** The journal's own cursor; null: read from the kernel itself. */
  readonly journal: string | null;
  /** When it was read, milliseconds since 1970 UTC. */
  readonly readAt: number;
}

/** What the kernel log said since it was read last. */
export interface KernelLogView {
  readonly source: 'kmsg' | 'journal';
  readonly bootId: string;
  /** Null: the log is empty. */
  readonly cursor: KernelLogCursor | null;
  /** Oldest first. */
  readonly events: readonly XidEvent[];
}

/** An error of the kernel log as the ledger remembers it. */
export interface SeenXid extends XidEvent {
  readonly bootId: string;
  /** The look that found it, milliseconds since 1970 UTC: what was seen before a reset happened before it. */
  readonly seenAt: number;
}

/** What the ledger remembers of the kernel log. */
export interface KernelLogMemory {
  /** Null: it was never read. */
  readonly cursor: KernelLogCursor | null;
  /** Of the boot of the cursor, oldest first; those that a reset has settled are left out. */
  readonly xids: readonly SeenXid[];
}

/** Is this event newer than what was read up to the cursor? The kernel's numbers decide; where one side has none, its time since boot. */
export function isBeyond(event: Pick<XidEvent, 'sequence' | 'bootUsec'>, cursor: Pick<KernelLogCursor, 'sequence' | 'bootUsec'>): boolean {
  if (event.sequence !== null && cursor.sequence !== null) return event.sequence > cursor.sequence;
  return event.bootUsec > cursor.bootUsec;
}
