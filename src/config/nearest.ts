const LONGEST = 64;

/** The known word that `word` was most likely meant to be; null: none is near. */
export function nearest(word: string, known: readonly string[]): string | null {
  if (word.length > LONGEST) return null;
  const plain = normalize(word);
  const ranked = known
    .map((each) => ({ each, distance: distanceOf(plain, normalize(each)) }))
    .toSorted((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= tolerance(plain.length) ? best.each : null;
}

/** Two edits are one swap of neighbours. */
function tolerance(length: number): number {
  return length < 4 ? 1 : Math.max(2, Math.floor(length / 3));
}

/** `idleTimeout`, `idle-timeout` and `idle_timeout` are one word to whoever types them. */
function normalize(word: string): string {
  return word.toLowerCase().replaceAll(/[-_.]/g, '');
}

/** Levenshtein's. */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, char] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (char === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
