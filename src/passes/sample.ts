import { observe, type Pass } from './pass.ts';

/** Every five minutes: one look, remembered. */
export async function sample(pass: Pass): Promise<void> {
  await observe(pass);
}
