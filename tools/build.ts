import { readFileSync } from 'node:fs';
import { build, type Plugin } from 'esbuild';

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

await build({
  absWorkingDir: root,
  entryPoints: ['src/cli/main.ts'],
  outfile: 'dist/gpuctl.cjs',
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'cjs',
  minify: true,
  legalComments: 'eof',
  define: { GPUCTL_VERSION: JSON.stringify(version) },
  plugins: [leaveOut],
  logLevel: 'warning',
});
