import { request } from 'node:http';

export interface ApiAnswer { readonly status: number; readonly body: string }

/** One request to an engine's socket. Rejects only where no answer came. */
export async function callEngine(socketPath: string, method: string, path: string, body?: unknown): Promise<ApiAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<ApiAnswer>();
  const payload = body === undefined ? '' : JSON.stringify(body);
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) };
  const call = request({ socketPath, method, path, headers, agent: false }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => { chunks.push(chunk); });
    response.on('error', reject);
    response.on('end', () => { resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }); });
  });
  call.on('error', reject);
  call.end(payload);
  return await promise;
}

/** The parsed answer; throws unless the status is below 400. */
export async function askEngine(socketPath: string, method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await callEngine(socketPath, method, path, body);
  if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${answer.body.trim()}`);
  return answer.body === '' ? undefined : JSON.parse(answer.body) as unknown;
}
