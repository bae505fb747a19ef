/** How much of a value is kept. */
export interface Bounds {
  /** UTF-16 units of one string. */
  readonly text: number;
  /** Members of one array or object. */
  readonly items: number;
}

/** Host text cannot make a line deep or long enough to matter: members of all arrays and objects together, and their depth. */
const MAX_MEMBERS = 2000;
const MAX_DEPTH = 6;
const MAX_KEY = 64;

/** A copy that JSON can carry, and whether anything had to be left out or shortened. */
export interface Cleaned {
  readonly value: unknown;
  readonly whole: boolean;
}

/** Copies plain data within `bounds`. What JSON has no form for (functions, NaN) is left out; strings become well-formed. */
export function clean(value: unknown, bounds: Bounds): Cleaned {
  const state = { whole: true, members: 0 };
  return { value: copy(value, { bounds, state, depth: 0 }), whole: state.whole };
}

interface Walk {
  readonly bounds: Bounds;
  readonly state: { whole: boolean; members: number };
  readonly depth: number;
}

function copy(value: unknown, walk: Walk): unknown {
  switch (typeof value) {
    case 'string': return shortened(value, walk);
    case 'boolean': return value;
    case 'number': return Number.isFinite(value) ? value : leftOut(walk);
    case 'bigint': return shortened(String(value), walk);
    case 'object': return value === null ? null : copyMembers(value, walk);
    default: return value === undefined ? undefined : leftOut(walk);
  }
}

function leftOut({ state }: Walk): undefined {
  state.whole = false;
  return undefined;
}

/** Never cut inside a character; lone surrogates, which no UTF-8 can carry, become U+FFFD. */
function shortened(text: string, { bounds, state }: Walk): string {
  if (text.length <= bounds.text) return text.toWellFormed();
  state.whole = false;
  return `${text.slice(0, bounds.text - 1).replace(/[\uD800-\uDBFF]$/, '').toWellFormed()}…`;
}

function copyMembers(value: object, walk: Walk): unknown {
  if (walk.depth >= MAX_DEPTH) return leftOut(walk);
  const inner = { ...walk, depth: walk.depth + 1 };
  if (Array.isArray(value)) return within(value, walk).map((each) => copy(each, inner) ?? null);
  if (!isPlain(value)) return leftOut(walk);
  const entries = within(Object.entries(value), walk).map(([key, each]) => [cleanKey(key), copy(each, inner)] as const);
  return Object.fromEntries(entries.filter(([, each]) => each !== undefined));
}

/** A Map, a Date or a Buffer would be copied as something that it is not. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function within<T>(members: readonly T[], { bounds, state }: Walk): readonly T[] {
  const room = Math.max(0, Math.min(bounds.items, MAX_MEMBERS - state.members));
  if (members.length > room) state.whole = false;
  state.members += Math.min(members.length, room);
  return members.slice(0, room);
}

function cleanKey(key: string): string {
  return /^[A-Za-z][A-Za-z0-9_]*$/.test(key) ? snakeCase(key).slice(0, MAX_KEY) : key.slice(0, MAX_KEY).toWellFormed();
}

/** `usedMiB` → `used_mib`, `pciBusId` → `pci_bus_id`. */
export function snakeCase(key: string): string {
  return key.replaceAll('MiB', 'Mib').replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
}
