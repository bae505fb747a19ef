import { startEngine, type Engine } from './dockerd.ts';
import { startHost, type Host } from './host.ts';
import { newMig } from './new-world.ts';
import { makeOrphan, type Orphan } from './orphans.ts';

/** The host of the demonstration, with everything on it running. */
export interface DemoHost {
  readonly host: Host;
  readonly engine: Engine;
  readonly orphan: Orphan;
  /** Container ids by what they show. */
  readonly containers: { readonly training: string; readonly notebook: string; readonly finished: string; readonly slice: string };
  dispose(): Promise<void>;
}

/** What the orphan leaves behind on its GPU, so that only a reset cleans it. */
const LEFT_BEHIND_MIB = 6200;

/**
 * Four GPUs: two with live containers (by `--gpus`; by environment and label), one whose container has stopped and where
 * an orphan still computes, one with MIG. The stopped container's type has no hold, so its allocation is stale at once.
 */
export async function buildDemoHost(): Promise<DemoHost> {
  const mig = [newMig(3, 0), newMig(3, 1)];
  const host = startHost({ gpus: [{ utilization: 93 }, { utilization: 41 }, {}, { mig }] });
  try {
    const engine = await startEngine({ sandbox: host.sandbox });
    host.configure({ engine: { host: engine.host } });
    const uuid = (index: number): string => host.gpu(index).uuid;
    const training = await engine.run({ name: 'alice-training', gpus: [uuid(0)], labels: { 'gpuctl.owner': 'alice' } });
    const notebook = await engine.run({
      name: 'bob-notebook', runtime: 'nvidia', env: { NVIDIA_VISIBLE_DEVICES: uuid(1) }, labels: { 'gpuctl.owner': 'bob', 'gpuctl.device': uuid(1) },
    });
    const finished = await engine.run({ name: 'carol-sweep-17', gpus: [uuid(2)], labels: { 'gpuctl.owner': 'carol', 'gpuctl.type': 'orchestration' } });
    await engine.kill(finished);
    await engine.wait(finished);
    const slice = await engine.run({ name: 'dave-inference', gpus: [mig[0]?.uuid ?? ''], labels: { 'gpuctl.owner': 'dave' } });
    const orphan = await makeOrphan(engine, { container: { name: 'carol-sweep-16', gpus: [uuid(2)] }, process: { name: 'python3' } });
    host.listOn(0, await engine.initPid(training), { name: 'python3 train.py', usedMiB: 61_440 });
    host.listOn(1, await engine.initPid(notebook), { name: 'jupyter-lab', usedMiB: 9_216 });
    host.listOn(2, orphan, { name: 'python3 sweep.py', usedMiB: 22_016, leavesMiB: LEFT_BEHIND_MIB });
    host.listOn(3, await engine.initPid(slice), { name: 'tritonserver', usedMiB: 4_096, mig: 0 });
    return { host, engine, orphan, containers: { training, notebook, finished, slice }, dispose: () => host.dispose() };
  } catch (error) {
    await host.dispose();
    throw error;
  }
}
