/** Control, format and separator characters, and what a decoder puts for bytes that are not UTF-8: none may reach a terminal or a log. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\uFFFD]/gu;
/** The characters among them that XML does not allow or that a strict parser may refuse; line breaks and tabs also lay out the document. */
const UNPARSABLE = /[^\P{Cc}\t\n\r]|[\uFFFD-\uFFFF]/gu;
/** An ampersand that begins no reference, as in a name that was cut in the middle of one. */
const STRAY_AMPERSAND = /&(?!(?:amp|lt|gt|quot|apos);)/g;
const ENTITY = /&(amp|lt|gt|quot|apos);/g;
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

const MAX_NAME = 1024;
const MAX_QUOTE = 300;

/** XML text that a strict parser accepts whatever a process called itself. Each character is replaced by one `?`; no tag is made or removed. */
export function cleanXml(text: string): string {
  return text.replace(UNPARSABLE, '?').replace(STRAY_AMPERSAND, '&amp;');
}

/** A name out of XML text, for showing: references resolved once, one line, at most 1,024 characters. */
export function showName(text: string): string {
  return shorten(text.replace(ENTITY, (whole, name: string) => ENTITIES[name] ?? whole).replace(UNPRINTABLE, '?'), MAX_NAME);
}

/** What a program printed, as part of a sentence: one line, at most 300 characters. */
export function quote(text: string): string {
  return shorten(text.slice(0, 4 * MAX_QUOTE).replace(/\s+/g, ' ').trim().replace(UNPRINTABLE, '?'), MAX_QUOTE);
}

function shorten(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1).replace(/[\uD800-\uDBFF]$/, '')}…`;
}
