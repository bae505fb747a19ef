import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { build, type BuildOptions, type Plugin } from 'esbuild';
import { makeCodeCache } from './warm-up.ts';

/** dockerode's own transport, in whose place src/callout stands, and what dockerode needs to build images. Left out, they cost nothing at start-up. */
const UNUSED = /^(?:docker-modem|@grpc\/grpc-js|@grpc\/proto-loader|protobufjs|tar-fs)$/;
/** Modules of Node that packages load at once and hardly a run needs: each is loaded when something of it is first used. */
const SELDOM_USED = /^(?:node:)?(?:crypto|v8|zlib|readline\/promises)$/;

const leaveOut: Plugin = {
  name: 'leave-out',
  setup(builder) {
    builder.onResolve({ filter: UNUSED }, ({ path }) => ({ path, namespace: 'left-out' }));
    builder.onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: 'module.exports = {};' }));
  },
};

const loadLate: Plugin = {
  name: 'load-late',
  setup(builder) {
    builder.onResolve({ filter: SELDOM_USED }, ({ path, namespace }) => (namespace === 'late' ? { path, external: true } : { path, namespace: 'late' }));
    builder.onLoad({ filter: /.*/, namespace: 'late' }, ({ path }) => {
      const getters = Object.keys(process.getBuiltinModule(path) ?? {}).map((name) => `get ${name}() { return require('${path}').${name}; }`);
      return { contents: `module.exports = { ${getters.join(', ')} };` };
    });
  },
};

const root = new URL('..', import.meta.url).pathname;
const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { version: string };

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node24',
  // The code cache runs the bundle where Node offers no import() of its own.
  supported: { 'dynamic-import': false },
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
  plugins: [leaveOut, loadLate],
});
/** The version alone needs nothing of the program, which is a third of the time that it would take. */
const STARTER = `import { start } from './src/cli/start.ts'; import { sayVersion } from './src/cli/say-version.ts';
if (!sayVersion(process.argv.slice(2))) start(__dirname);`;
const starter = await bundle({ stdin: { contents: STARTER, resolveDir: root }, define: { GPUCTL_VERSION: JSON.stringify(version) } });
const maker = await bundle({ stdin: { contents: "import { makeCodeCache } from './src/cli/make-code-cache.ts'; makeCodeCache(__dirname);", resolveDir: root } });
const stage = await bundle({ stdin: { contents: "import { makeCodeCache } from './tools/warm-up.ts'; makeCodeCache(__dirname);", resolveDir: root }, define: { 'import.meta.main': 'false' } });

mkdirSync(`${root}dist`, { recursive: true });
write('gpuctl.cjs', stamped(program.text));
write('start.cjs', starter.text);
write('make-code-cache.cjs', maker.text);
write('warm-up.cjs', stage.text);
write('bundled-packages.json', `${JSON.stringify(program.packages)}\n`);
await makeCodeCache(`${root}dist`);
