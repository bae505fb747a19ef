import { EngineCallError } from './engine-error.ts';

/** Of one container as the list shows it; its labels are in it. */
const MAX_ELEMENT_BYTES = 4 * 1024 * 1024;
/** Of one that is longer, its beginning alone is read, where its id stands. */
const HEAD_BYTES = 4096;
/** Between two containers there is a comma. */
const MAX_GAP_BYTES = 1024;

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [...Buffer.from('"\\[]{}')] as [number, number, number, number, number, number];

/** Takes a container list in pieces and keeps what tells which containers there are, however long their labels. */
export interface LongList {
  /** Throws EngineCallError where it is no such list. */
  take(chunk: Buffer): void;
  /** The list as JSON: of each container its id, names and state. One that is too long by itself has no state. Throws EngineCallError where it ended too early. */
  end(): string;
}

/**
 * Anybody who may create containers can make the list of them as long as he likes by labels, but must not make gpuctl
 * blind by that: the list is cut into its containers as it comes, and what nobody reads is forgotten at once.
 */
export function openLongList(): LongList {
  const kept: string[] = [];
  let [depth, isText, isEscaped, gap] = [0, false, false, 0];
  let element: { pieces: Buffer[]; bytes: number } = { pieces: [], bytes: 0 };

  const keep = (piece: Buffer): void => {
    element.bytes += piece.length;
    if (element.bytes <= MAX_ELEMENT_BYTES) element.pieces.push(piece);
    else element.pieces = [Buffer.concat(element.pieces.slice(0, 1)).subarray(0, HEAD_BYTES)];
  };
  /** Where the text that `from` is in ends, behind its quote; the end of the chunk where it goes on. */
  const behindText = (chunk: Buffer, from: number): number => {
    if (isEscaped) {
      isEscaped = false;
      return from + 1;
    }
    const found = chunk.indexOf(QUOTE, from);
    const end = found < 0 ? chunk.length : found;
    let escapes = 0;
    while (end - escapes > from && chunk[end - escapes - 1] === BACKSLASH) escapes += 1;
    if (found < 0) isEscaped = escapes % 2 === 1;
    else isText = escapes % 2 === 1;
    return found < 0 ? end : end + 1;
  };
  return {
    take(chunk) {
      let start = 0;
      for (let at = 0; at < chunk.length;) {
        if (isText) {
          at = behindText(chunk, at);
          continue;
        }
        const byte = chunk[at];
        at += 1;
        if (byte === QUOTE) isText = true;
        else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
          depth += 1;
          if (depth === 2) [start, gap] = [at - 1, 0];
        } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
          depth -= 1;
          if (depth === 1) {
            keep(chunk.subarray(start, at));
            kept.push(thinned(element));
            element = { pieces: [], bytes: 0 };
          }
        }
        if (depth < 2 && (gap += 1) > MAX_GAP_BYTES) throw new EngineCallError('malformed', 'the answer is longer than any and no list of containers');
      }
      if (depth >= 2) keep(chunk.subarray(start));
    },
    end() {
      if (depth !== 0 || isText) throw new EngineCallError('malformed', 'the list of containers ends in the middle');
      return `[${kept.join(',')}]`;
    },
  };
}

function thinned({ pieces, bytes }: { readonly pieces: readonly Buffer[]; readonly bytes: number }): string {
  const text = Buffer.concat(pieces).toString('utf8');
  try {
    const { Id, Names, State } = (bytes > MAX_ELEMENT_BYTES ? beginningOf(text) : JSON.parse(text)) as Record<string, unknown>;
    return JSON.stringify({ Id, Names, State });
  } catch {
    throw new EngineCallError('malformed', 'a container of the list is not JSON');
  }
}

/** The engine writes the id first and the names after it. */
function beginningOf(text: string): object {
  const [, id, names] = /^\{"Id":"([0-9a-f]{64})"(?:,"Names":(\["[^"\\]*"(?:,"[^"\\]*")*\]))?/.exec(text) ?? [];
  if (id === undefined) throw new SyntaxError('it does not begin with its id');
  return { Id: id, Names: names === undefined ? [] : (JSON.parse(names) as unknown) };
}
