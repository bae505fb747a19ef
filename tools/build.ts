import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { build, type BuildOptions, type Plugin } from 'esbuild';

/** Parts of docker-modem and dockerode for ssh hosts and image builds, which gpuctl never has. Left out, they cost nothing at start-up. */
const UNUSED = /^(?:ssh2|@grpc\/grpc-js|@grpc\/proto-loader|protobufjs|cpu-features|tar-fs)$/;

const leaveOut: Plugin = {
  name: 'leave-out',
  setup(builder) {
    builder.onResolve({ filter: UNUSED }, ({ path }) => ({ path, namespace: 'left-out' }));
    builder.onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: 'module.exports = {};' }));
  },
};

const root = new URL('..', import.meta.url).pathname;
const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { version: string };

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'cjs',
  minify: true,
  write: false,
  logLevel: 'warning',
} as const satisfies BuildOptions;

interface Bundle {
  readonly text: string;
  /** Names of the npm packages that it holds parts of; whoever ships it ships their licences. */
  readonly packages: readonly string[];
}

async function bundle(options: BuildOptions): Promise<Bundle> {
  const { outputFiles, metafile } = await build({ ...common, ...options, write: false, metafile: true });
  const names = Object.keys(metafile.inputs).flatMap((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []);
  return { text: outputFiles[0]?.text ?? '', packages: [...new Set(names)].toSorted() };
}

/** Whole or not at all: somebody may be running the one that is there. */
function write(name: string, content: string): void {
  const file = `${root}dist/${name}`;
  writeFileSync(`${file}.new`, content);
  renameSync(`${file}.new`, file);
}

/** Its last line says what it is the SHA-256 of, so that a cache of compiled code can never be taken for that of another bundle. */
function stamped(text: string): string {
  return `${text}//# ${createHash('sha256').update(text).digest('hex')}\n`;
}

const program = await bundle({
  entryPoints: ['src/cli/main.ts'],
  legalComments: 'eof',
  define: { GPUCTL_VERSION: JSON.stringify(version) },
  plugins: [leaveOut],
});
const starter = await bundle({ stdin: { contents: "import { start } from './src/cli/start.ts'; start(__dirname);", resolveDir: root } });

mkdirSync(`${root}dist`, { recursive: true });
write('gpuctl.cjs', stamped(program.text));
write('start.cjs', starter.text);
write('bundled-packages.json', `${JSON.stringify(program.packages)}\n`);
execFileSync(process.execPath, [`${root}tools/make-code-cache.ts`, `${root}dist`], { stdio: ['ignore', 'ignore', 'inherit'] });
