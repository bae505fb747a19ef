/** A start, end or empty tag, whole. nvidia-smi writes attributes in double quotes. */
const TAG = /<(\/?)([A-Za-z_][\w.-]*)(?:\s+[A-Za-z_][\w.-]*="[^"<>]*")*\s*(\/?)>/y;

/**
 * What is wrong with the tags of a document, or null: each is whole, each element is closed by its own end tag, and one
 * root holds all there is. Stricter than XML, and a tenth of the work of a validator that finds places to report. The text
 * must be free of comments, CDATA and the like, and of ampersands that begin no reference.
 */
export function brokenTags(text: string): string | null {
  const open: string[] = [];
  let rootEnd = 0;
  for (let at = text.indexOf('<'); at >= 0; at = text.indexOf('<', TAG.lastIndex)) {
    TAG.lastIndex = at;
    const [, slash, name = '', empty] = TAG.exec(text) ?? [];
    if (slash === undefined) return `there is no whole tag at ${JSON.stringify(text.slice(at, at + 40))}`;
    if (open.length === 0 && text.slice(rootEnd, at).trim() !== '') return 'there is text outside of the root';
    if (open.length === 0 && rootEnd > 0) return `<${name}> stands after the end of the root`;
    if (slash === '' && empty === '') open.push(name);
    else if (slash !== '' && (open.pop() !== name || empty !== '')) return `</${name}> closes nothing that is open there`;
    if (open.length === 0) rootEnd = TAG.lastIndex;
  }
  if (open.length > 0) return `<${open.at(-1)}> is not closed`;
  if (rootEnd === 0) return 'there is no element';
  return text.slice(rootEnd).trim() === '' ? null : 'there is text outside of the root';
}
