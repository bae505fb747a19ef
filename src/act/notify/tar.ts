const BLOCK = 512;

/** One regular file of a tar archive; `name` is plain ASCII of at most 99 characters. */
export interface TarFile {
  readonly name: string;
  readonly mode: number;
  readonly content: string;
  /** Seconds since 1970 UTC. */
  readonly modifiedS: number;
}

/** A POSIX ustar archive with this one file, which belongs to root. */
export function renderTar({ name, mode, content, modifiedS }: TarFile): Buffer {
  const body = Buffer.from(content);
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, width: number): void => { header.write(`${Math.floor(value).toString(8).padStart(width - 1, '0')}\0`, at); };
  header.write(name, 0);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(body.length, 124, 12);
  octal(modifiedS, 136, 12);
  header.write('        0', 148);
  header.write('ustar\x0000', 257);
  octal(0, 329, 8);
  octal(0, 337, 8);
  // Sum of all bytes, the field of the sum itself as blanks (POSIX.1-1988, ustar).
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const padding = Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK);
  return Buffer.concat([header, body, padding, Buffer.alloc(2 * BLOCK)]);
}
