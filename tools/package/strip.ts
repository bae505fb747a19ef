/** Of ELF, 64 bit, little-endian (elf(5)): where its header says what, and how long a section's own header is. */
const HEADER = { sectionsAt: 0x28, sectionCount: 0x3c, namesIndex: 0x3e } as const;
const SECTION = { bytes: 64, flags: 0x08, at: 0x18, length: 0x20, kind: 0x04 } as const;
/** SHF_ALLOC: in memory while the program runs. SHT_NOBITS: takes no room in the file. */
const ALLOC = 2n;
const NOBITS = 8;

/**
 * The program without what only a debugger or a linker reads: its debugging information and its table of local symbols, which
 * are a fifth of a Node.js. What the kernel and the loader read is left byte by byte, so it works for any machine's program.
 * Done here because strip(1) knows only the machines that it was built for. Throws where the file is laid out otherwise.
 */
export function strippedElf(program: Buffer): Buffer {
  if (program.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') throw new Error('the runtime is not a 64-bit, little-endian ELF file');
  const sectionsAt = Number(program.readBigUInt64LE(HEADER.sectionsAt));
  const sections = Array.from({ length: program.readUInt16LE(HEADER.sectionCount) }, (_, n) => program.subarray(sectionsAt + n * SECTION.bytes, sectionsAt + (n + 1) * SECTION.bytes));
  const names = sections[program.readUInt16LE(HEADER.namesIndex)];
  // The first one is no section; those that the program needs come next, so their numbers, by which they name each other, stay.
  const kept = 1 + sections.slice(1).filter(isNeeded).length;
  if (names === undefined || kept === 1 || !sections.slice(1, kept).every(isNeeded)) throw new Error('the sections of the runtime are not in the order that is expected');
  const end = Math.max(...sections.slice(1, kept).map(endOf));
  const namesText = program.subarray(placeOf(names), endOf(names));
  const parts = [program.subarray(0, end), namesText];
  const padding = Buffer.alloc((8 - ((end + namesText.length) % 8)) % 8);
  const movedNames = Buffer.from(names);
  movedNames.writeBigUInt64LE(BigInt(end), SECTION.at);
  const stripped = Buffer.concat([...parts, padding, ...sections.slice(0, kept), movedNames]);
  stripped.writeBigUInt64LE(BigInt(end + namesText.length + padding.length), HEADER.sectionsAt);
  stripped.writeUInt16LE(kept + 1, HEADER.sectionCount);
  stripped.writeUInt16LE(kept, HEADER.namesIndex);
  return stripped;
}

function isNeeded(section: Buffer): boolean {
  return (section.readBigUInt64LE(SECTION.flags) & ALLOC) !== 0n;
}

function placeOf(section: Buffer): number {
  return Number(section.readBigUInt64LE(SECTION.at));
}

function endOf(section: Buffer): number {
  return placeOf(section) + (section.readUInt32LE(SECTION.kind) === NOBITS ? 0 : Number(section.readBigUInt64LE(SECTION.length)));
}
