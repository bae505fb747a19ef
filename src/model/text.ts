/** C0, DEL, C1, line separators, characters that turn writing around or have no width, and halves of surrogate pairs. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** The same and whatever else is no character of any writing, but for the line feeds of a text of several lines. */
const ACTIVE = /[^\P{C}\n]|[\p{Zl}\p{Zp}]/gu;

/** A document or message of several lines with nothing in it that drives a terminal. JSON stays the same value: only its strings can hold such characters. */
export function defused(text: string): string {
  return text.replace(ACTIVE, (each) => Array.from({ length: each.length }, (_, at) => `\\u${each.charCodeAt(at).toString(16).padStart(4, '0')}`).join(''));
}

/** `1 device`, `2 devices`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** A host's text as it may be shown: one line, nothing that drives a terminal, at most `limit` characters. */
export function printable(text: string, limit = 200): string {
  const escaped = text.slice(0, limit * 4).replace(UNPRINTABLE, (each) => `\\u{${(each.codePointAt(0) ?? 0).toString(16)}}`);
  return escaped.length > limit ? `${escaped.slice(0, limit - 1).replace(/[\uD800-\uDBFF]$/, '')}…` : escaped;
}
