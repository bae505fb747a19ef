import { describe, expect, it } from 'vitest';
import { parseComputeApps } from '../../../../src/observe/nvidia-smi/compute-apps.ts';

const HEAD = 'gpu_uuid, pid, used_gpu_memory [MiB]\n';
const UUID = 'GPU-00000000-0000-4000-8000-000000000000';

describe('a row of the compute list', () => {
  it.each(['2048 MiB', '2048', '[N/A]', 'N/A', '[Insufficient Permissions]', '[Unknown Error]'])('is whole with %s for its memory', (memory) => {
    expect(parseComputeApps(`${HEAD}${UUID}, 1003, ${memory}\n`, 0)).toMatchObject({ state: 'complete', value: { rows: [{ gpuUuid: UUID, pid: 1003 }] } });
  });

  it.each(['Failed to initialize NVML: Unknown Error', '', '20Failed', '[Unknown'])('that another text broke into refuses the answer, since rows behind it are gone: %j', (memory) => {
    expect(parseComputeApps(`${HEAD}${UUID}, 1003,${memory}\n`, 0)).toMatchObject({ state: 'failed', code: 'malformed' });
  });
});
