/** One record of /dev/kmsg. */
export interface KernelRecord {
  /** 0: the kernel itself. The kernel lets nobody else write this facility. */
  readonly facility: number;
  readonly sequence: number;
  /** Microseconds since boot. */
  readonly bootUsec: number;
  /** A piece of a line, whose beginning is in another record: what it begins with is no beginning. */
  readonly fragment: boolean;
  /** As the kernel escaped it: printable ASCII, a line feed is `\x0a`. */
  readonly text: string;
}

/** `priority,sequence,usec,flags[,more];text` (the kernel's Documentation/ABI/testing/dev-kmsg; later fields are to be ignored). */
const HEAD = /^(\d{1,10}),(\d{1,16}),(\d{1,16}),([^,;]{0,8})(?:,[^;]{0,200})?;/;

/** The first line of a record; null: it is none. The lines after it, which begin with a blank, are properties and say nothing here. */
export function parseRecord(line: string): KernelRecord | null {
  const head = HEAD.exec(line);
  if (head === null) return null;
  const [whole, priority, sequence, usec, flags] = head;
  const numbers = [priority, sequence, usec].map(Number);
  const [level = NaN, number = NaN, bootUsec = NaN] = numbers;
  if (!numbers.every(Number.isSafeInteger)) return null;
  return { facility: Math.floor(level / 8), sequence: number, bootUsec, fragment: flags !== '-' && flags !== '', text: line.slice(whole.length) };
}
