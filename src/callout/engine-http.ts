import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { EngineCallError } from './engine-error.ts';

/** A list of 1,000 containers with long labels is about 10 MB; beyond this an answer is not an answer. */
const MAX_BYTES = 64 * 1024 * 1024;

/** One call over a local socket, a GET unless it says otherwise. `timeoutMs` is the deadline from connecting to the last byte. */
export interface Get {
  readonly socketPath: string;
  readonly path: string;
  readonly timeoutMs: number;
  readonly method?: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** A tar archive. */
  readonly archive?: Buffer;
}

/** A whole answer, whatever its status. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/**
 * Asks once, on a connection of its own that is destroyed with the answer or at the deadline, so that nothing keeps the
 * process alive. Never follows a redirect. Throws EngineCallError for everything but a whole answer of bounded size.
 */
export async function get({ socketPath, path, timeoutMs, method = 'GET', archive }: Get): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const headers = { host: 'localhost', ...(archive === undefined ? {} : { 'content-type': 'application/x-tar', 'content-length': archive.length }) };
  const call = request({ socketPath, path, method, agent: false, headers });
  const late = setTimeout(() => { reject(new EngineCallError('timeout', `no whole answer within ${timeoutMs} ms`)); }, timeoutMs);
  call.on('error', reject);
  call.on('response', (response) => { readWhole(response).then(resolve, reject); });
  call.end(archive);
  try {
    return await promise;
  } catch (error) {
    throw error instanceof EngineCallError ? error : explain(error, socketPath);
  } finally {
    clearTimeout(late);
    call.destroy();
  }
}

/** A body that ends before its announced end raises an error by itself, as long as somebody listens for it. */
async function readWhole(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new EngineCallError('malformed', `the answer is longer than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString('utf8') };
}

function explain(error: unknown, socketPath: string): EngineCallError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const detail = error instanceof Error ? error.message : String(error);
  switch (code) {
    case 'ENOENT': return new EngineCallError('not-installed', `there is no socket ${socketPath}`);
    case 'ECONNREFUSED': return new EngineCallError('refused', `nothing listens at ${socketPath}`);
    case 'EACCES':
    case 'EPERM': return new EngineCallError('not-permitted', `this user may not use ${socketPath}`);
    case 'ECONNRESET':
    case 'EPIPE': return new EngineCallError('malformed', 'the answer was cut off');
    default: return new EngineCallError(code.startsWith('HPE_') ? 'malformed' : 'error', detail);
  }
}
