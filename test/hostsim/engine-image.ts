import { execFileSync } from 'node:child_process';
import { copyFileSync, createReadStream, mkdirSync, symlinkSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';

/** The image that every container runs: busybox, and nothing pulled from anywhere. */
export const IMAGE = 'bb:1';

const APPLETS = ['sh', 'sleep', 'cat', 'echo', 'true', 'kill', 'touch', 'ls', 'ps'];

/** Imports a static busybox as an image; `env` is what the image itself sets. */
export async function importImage(socketPath: string, dir: string): Promise<void> {
  const root = join(dir, 'image');
  mkdirSync(join(root, 'bin'), { recursive: true });
  mkdirSync(join(root, 'workspace'));
  copyFileSync('/bin/busybox', join(root, 'bin', 'busybox'));
  for (const applet of APPLETS) symlinkSync('busybox', join(root, 'bin', applet));
  const tar = join(dir, 'image.tar');
  execFileSync('tar', ['-C', root, '-cf', tar, '.']);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const [repo, tag] = IMAGE.split(':');
  const path = `/images/create?fromSrc=-&repo=${repo}&tag=${tag}`;
  const call = request({ socketPath, method: 'POST', path, headers: { 'content-type': 'application/x-tar' }, agent: false }, (response) => {
    response.resume();
    response.on('end', () => {
      if (response.statusCode === 200) resolve();
      else reject(new Error(`importing the image: ${response.statusCode}`));
    });
  });
  call.on('error', reject);
  createReadStream(tar).pipe(call);
  await promise;
}
