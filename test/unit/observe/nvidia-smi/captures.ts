import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Output of real machines, beside the repository where there is one; tests that need it are skipped elsewhere. */
const FOLDER = new URL('../../../../../shared/captures/', import.meta.url);
const FIXTURES = new URL('../../../fixtures/nvidia-smi/', import.meta.url);

export const haveCaptures = existsSync(FOLDER);

export function captureNames(kind: 'xml' | 'errors' | 'text'): readonly string[] {
  return haveCaptures ? readdirSync(new URL(`${kind}/`, FOLDER)).toSorted() : [];
}

export function capture(name: string): string {
  return readFileSync(new URL(name, FOLDER), 'utf8');
}

/** Stdout and exit code of a capture that has headers; `exitCode` is null where it was not recorded. */
export function recorded(name: string): { readonly stdout: string; readonly exitCode: number | null; readonly command: string } {
  const text = capture(`errors/${name}`);
  const exit = /^# exit: (\d+)$/m.exec(text)?.[1];
  const body = /^# --- stdout ---\n([^]*?)^# --- stderr ---$/m.exec(text)?.[1] ?? text.replace(/^#.*\n?/gm, '');
  return { stdout: body, exitCode: exit === undefined ? null : Number(exit), command: /^# cmd: nvidia-smi (.*)$/m.exec(text)?.[1] ?? '' };
}

export type FixtureFile = 'qx.xml' | 'list.txt' | 'query-gpu.csv' | 'compute-apps.csv';
export const DRIVERS = ['470', '535', '550', '570', '590'] as const;
export type Driver = (typeof DRIVERS)[number];

/** One file of a host that we made up, in the shape of a driver. */
export function fixture(driver: Driver, file: FixtureFile): string {
  return readFileSync(new URL(`${driver}/${file}`, FIXTURES), 'utf8');
}

export function sharedFixture(file: 'list-r460.txt'): string {
  return readFileSync(new URL(file, FIXTURES), 'utf8');
}
