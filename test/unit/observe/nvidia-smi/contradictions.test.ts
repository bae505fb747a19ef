import { describe, expect, it } from 'vitest';
import type { DriverView } from '../../../../src/model/device.ts';
import type { Observed } from '../../../../src/model/observation.ts';
import { observeDriver } from '../../../../src/observe/nvidia-smi/index.ts';
import { fixture, type FixtureFile } from './captures.ts';

/** Two GPUs without MIG of the fixture host; the third has MIG devices. */
const [FIRST, SECOND] = ['GPU-0000590a-0001-4aaa-8bbb-0000590a590b', 'GPU-0000590b-0002-4aaa-8bbb-0000590b590d'];
const FILES: Readonly<Record<string, FixtureFile>> = { '-L': 'list.txt', '-q': 'qx.xml', '--query-gpu=index,uuid,pci.bus_id': 'query-gpu.csv', '--query-compute-apps=gpu_uuid,pid,used_memory': 'compute-apps.csv' };

/** The host of driver 590 with one of its answers changed, whenever it is asked for. */
function observeWith(file: FixtureFile, change: (text: string) => string): Promise<Observed<DriverView>> {
  const run = ({ args }: { readonly args: readonly string[] }) => {
    const name = FILES[args[0] ?? ''] ?? 'qx.xml';
    const text = fixture('590', name);
    if (name === file) expect(change(text)).not.toBe(text);
    return Promise.resolve({ exitCode: 0, stdout: name === file ? change(text) : text, stderr: '', problem: null });
  };
  return observeDriver({ path: 'nvidia-smi', timeoutMs: 1000, run });
}

function gpusOf(driver: Observed<DriverView>): DriverView['gpus'] {
  if (driver.state === 'failed') throw new Error(driver.why);
  return driver.value.gpus;
}

describe('what one answer says and another contradicts', () => {
  it('is not known: which GPU is at a bus id, by one digit of a UUID', async () => {
    const driver = await observeWith('qx.xml', (text) => text.replace(FIRST, FIRST.replace('0001', '0009')));
    expect(driver).toMatchObject({ state: 'partial', missing: expect.arrayContaining([{ subject: '00000009:01:00.0', why: expect.stringContaining(`--query-gpu has ${FIRST} at 00000009:01:00.0`) }]) });
    expect(gpusOf(driver)[0]).toMatchObject({ index: null, processes: { state: 'unknown', why: expect.stringContaining('--query-gpu has') } });
    expect(gpusOf(driver)[2]).toMatchObject({ index: 2, processes: { state: 'known' } });
  });

  it('is not known: which of two GPUs is at which of two bus ids', async () => {
    const driver = await observeWith('query-gpu.csv', (text) => text.replace(FIRST, 'first').replace(SECOND, FIRST).replace('first', SECOND));
    expect(gpusOf(driver).map(({ index, processes }) => [index, processes.state])).toEqual([[null, 'unknown'], [null, 'unknown'], [2, 'known']]);
  });

  it('is not known: whether the GPU is there at all, where neither of the others knows its UUID', async () => {
    const driver = await observeWith('query-gpu.csv', (text) => text.replace(/^0,.*\n/m, ''));
    expect(gpusOf(driver)[0]).toMatchObject({ index: null, processes: { state: 'known' } });
    const unlisted = await observeWith('list.txt', (text) => text.replace(FIRST, FIRST.replace('0001', '0009')));
    // Two of three agree on it.
    expect(gpusOf(unlisted)[0]).toMatchObject({ index: 0, processes: { state: 'known' } });
  });

  it.each([
    ['list.txt', 'GPU 0:', 'GPU 7:', 'its index is 0 by --query-gpu and 7 by -L'],
    ['query-gpu.csv', `0, ${FIRST}`, `7, ${FIRST}`, 'its index is 7 by --query-gpu and 0 by -L'],
  ] as const)('is not known: the number of a GPU, by which a container may hold it (%s)', async (file, was, is, why) => {
    const driver = await observeWith(file, (text) => text.replace(was, is));
    expect(driver).toMatchObject({ state: 'partial', missing: expect.arrayContaining([{ subject: '00000009:01:00.0', why }]) });
    expect(gpusOf(driver).map(({ index }) => index)).toEqual([null, 1, 2]);
  });

  it('is not known: the MIG mode of a GPU that has MIG devices and says that it is off', async () => {
    const driver = await observeWith('qx.xml', (text) => text.replace('<current_mig>Enabled', '<current_mig>Disabled'));
    expect(gpusOf(driver).map(({ migCurrent }) => migCurrent.kind)).toEqual(['value', 'value', 'error']);
  });

  it('is not known: the node of two GPUs that say that they have the same', async () => {
    const driver = await observeWith('qx.xml', (text) => text.replace('<minor_number>1<', '<minor_number>0<'));
    expect(gpusOf(driver).map(({ minorNumber }) => minorNumber)).toEqual([null, null, 2]);
  });
});
