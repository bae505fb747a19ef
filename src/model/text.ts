/** C0, DEL, C1, line separators, characters that turn writing around or have no width, and halves of surrogate pairs. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** A host's text as it may be shown: one line, nothing that drives a terminal, at most `limit` characters. */
export function printable(text: string, limit = 200): string {
  const escaped = text.slice(0, limit * 4).replace(UNPRINTABLE, (each) => `\\u{${(each.codePointAt(0) ?? 0).toString(16)}}`);
  return escaped.length > limit ? `${escaped.slice(0, limit - 1)}…` : escaped;
}
