/** Words of gpuctl's own, of engines and of drivers: a container may well be called so, and replacing them everywhere would change what is said. */
const OWN = new Set(('created running paused restarting removing exited dead unknown docker podman nvidia gpu root host other system user complete partial failed '
  + 'value absent present unsupported error known idle runtime warned final notice kill reset release stop remove warn alert act refuse leave done gone true false null none all default').split(' '));

/** Gives each private word one that says nothing, always the same one for the same word. */
export interface Pseudonyms {
  /** The stand-in of a word of this kind; what is empty stays so. */
  of(kind: string, word: string): string;
  /** The stand-in of a uid of a person; those of the system (below 1000) and the overflow uids stay. */
  uid(uid: number): number;
  /** The text with every word that has a stand-in replaced where it stands by itself. */
  within(text: string): string;
}

const FIRST_PERSON = 1000;
const LAST_PERSON = 60_000;
/** Far from what a host gives out, and below what user namespaces do. */
const FIRST_STAND_IN = 61_000;

export function pseudonyms(): Pseudonyms {
  const words = new Map<string, string>();
  const uids = new Map<number, number>();
  const counts = new Map<string, number>();
  const of = (kind: string, word: string): string => {
    const known = words.get(word);
    if (known !== undefined || word === '') return known ?? '';
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    const made = `${kind}-${count}`;
    words.set(word, made);
    return made;
  };
  return {
    of,
    uid: (uid) => {
      const person = (uid >= FIRST_PERSON && uid < LAST_PERSON) || uid >= 100_000;
      if (!person || uid >= 4_294_967_294) return uid;
      const made = uids.get(uid) ?? FIRST_STAND_IN + uids.size;
      uids.set(uid, made);
      return made;
    },
    within: (text) => text.replace(WORD, (token) => {
      const standIn = (word: string): string | undefined => (isTelling(word) ? words.get(word) : undefined);
      return standIn(token) ?? token.split('.').map((part) => standIn(part) ?? part).join('.');
    }),
  };
}

/** Names and what they stand in: a word of them, or one between dots. Never a part of a word with hyphens, as UUIDs and ids are. */
const WORD = /[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?/g;

/** Short words, numbers and ids stand in too much that means something else. */
function isTelling(word: string): boolean {
  return word.length >= 3 && !OWN.has(word.toLowerCase()) && !/^(?:[\d.]+|[0-9a-f]{12,})$/.test(word);
}
