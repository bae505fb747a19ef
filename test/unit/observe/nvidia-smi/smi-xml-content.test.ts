import { describe, expect, it } from 'vitest';
import type { Gpu } from '../../../../src/model/device.ts';
import { parseSmiXml } from '../../../../src/observe/nvidia-smi/smi-xml.ts';
import { fixture, type Driver } from './captures.ts';

type Edit = readonly [string | RegExp, string];

function edited(driver: Driver, ...edits: readonly Edit[]): string {
  return edits.reduce((text, [from, to]) => {
    if (text.search(from instanceof RegExp ? from : from.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)) < 0) throw new Error(`nothing to edit: ${String(from)}`);
    return text.replace(from, to);
  }, fixture(driver, 'qx.xml'));
}

/** The first GPU of a fixture after some edits. */
function gpuOf(driver: Driver, ...edits: readonly Edit[]): Gpu {
  const document = parseSmiXml(edited(driver, ...edits), 0);
  const gpu = document.state === 'failed' ? undefined : document.value.gpus[0];
  if (gpu === undefined) throw new Error(JSON.stringify(document));
  return gpu;
}

function verdict(driver: Driver, ...edits: readonly Edit[]): string {
  const document = parseSmiXml(edited(driver, ...edits), 0);
  return document.state === 'failed' ? `${document.code}: ${document.why}` : document.state;
}

/** What the first GPU asks for, or why it cannot be told. */
function asked(driver: Driver, ...edits: readonly Edit[]): string {
  const { recovery } = gpuOf(driver, ...edits);
  return recovery.kind === 'value' ? recovery.value : recovery.kind;
}

function status(required: string, drain: string): Edit {
  return [/<gpu_reset_status>[^]*?<\/gpu_reset_status>/, `<gpu_reset_status><reset_required>${required}</reset_required><drain_and_reset_recommended>${drain}</drain_and_reset_recommended></gpu_reset_status>`];
}

/** Pid, memory and instances of each row of one GPU. */
function rowsOf(driver: Driver, at: number): unknown {
  const document = parseSmiXml(fixture(driver, 'qx.xml'), 0);
  const list = document.state === 'failed' ? undefined : document.value.gpus[at]?.processes;
  return list?.state === 'known' ? list.processes.map(({ pid, usedMiB, gpuInstanceId, computeInstanceId }) => [pid, usedMiB, gpuInstanceId, computeInstanceId]) : null;
}

/** The name that is shown of a process whose name stands in the document as `raw`. */
function nameFrom(raw: string): string {
  const list = gpuOf('470', [/<process_name>[^<]*/, `<process_name>${raw.replaceAll('$', '$$$$')}`]).processes;
  if (list.state !== 'known') throw new Error(list.why);
  expect(list.processes).toHaveLength(1);
  return list.processes[0]?.name ?? '';
}

describe('a value', () => {
  it.each([
    ['9417 MiB', { kind: 'value', value: 9417 }],
    ['-3.5 MiB', { kind: 'value', value: -3.5 }],
    ['0', { kind: 'value', value: 0 }],
    ['N/A', { kind: 'unsupported' }],
    ['Requested functionality has been deprecated', { kind: 'unsupported' }],
    ['', { kind: 'absent' }],
    ['Unknown Error', { kind: 'error', text: 'Unknown Error' }],
    ['9417 %', { kind: 'error', text: '9417 %' }],
    ['9,417 MiB', { kind: 'error', text: '9,417 MiB' }],
    ['1e3 MiB', { kind: 'error', text: '1e3 MiB' }],
    ['<part>1</part>', { kind: 'error', text: 'elements where a text is expected' }],
  ])('of memory that reads "%s" is never guessed', (text, reading) => {
    expect(gpuOf('470', ['<used>9417 MiB</used>', `<used>${text}</used>`]).usedMiB).toEqual(reading);
  });

  it('that occurs twice is not chosen from', () => {
    expect(gpuOf('470', ['<used>9417 MiB</used>', '<used>1 MiB</used><used>2 MiB</used>']).usedMiB.kind).toBe('error');
  });

  it('of a group that is bare text is what that text says', () => {
    const group = /<remapped_rows>[^]*?<\/remapped_rows>/;
    expect(gpuOf('470', [group, '<remapped_rows>N/A</remapped_rows>']).remapFailed).toEqual({ kind: 'unsupported' });
    expect(gpuOf('470', [group, '<remapped_rows>GPU is lost</remapped_rows>']).remapFailed).toEqual({ kind: 'error', text: 'GPU is lost' });
    expect(gpuOf('470', [group, '']).remapFailed).toEqual({ kind: 'absent' });
  });

  it('of power is found under the name that the driver gives it', () => {
    expect(gpuOf('470').powerLimitW).toEqual({ kind: 'value', value: 250 });
    expect(gpuOf('535').powerLimitW).toEqual({ kind: 'value', value: 700 });
  });

  it('of MIG, display and ECC is a flag or none', () => {
    expect(gpuOf('550')).toMatchObject({ migCurrent: { kind: 'unsupported' }, displayActive: { kind: 'value', value: false }, eccCurrent: { kind: 'value', value: true } });
    expect(gpuOf('470', ['<display_active>Disabled', '<display_active>Perhaps']).displayActive).toEqual({ kind: 'error', text: 'Perhaps' });
  });
});

describe('what a board asks for', () => {
  it.each([
    ['No', 'No', 'none'], ['No', 'N/A', 'none'], ['Yes', 'No', 'reset'], ['Yes', 'Yes', 'reset'], ['No', 'Yes', 'drain-and-reset'],
    ['N/A', 'N/A', 'unsupported'], ['N/A', 'No', 'unsupported'], ['Soon', 'No', 'other'], ['GPU is lost', 'No', 'error'], ['Unknown Error', 'Yes', 'drain-and-reset'],
  ])('is read from reset_required %s and drain %s as %s (535)', (required, drain, action) => {
    expect(asked('535', status(required, drain))).toBe(action);
  });

  it.each([
    ['None', 'none'], ['Reset', 'reset'], ['GPU Reset', 'reset'], ['Reboot', 'reboot'], ['Drain P2P', 'drain-p2p'], ['Drain and Reset', 'drain-and-reset'],
    ['Replace', 'other'], ['N/A', 'unsupported'], ['Unknown Error', 'error'],
  ])('is read from the recovery action "%s" as %s (590)', (text, action) => {
    expect(asked('590', ['<gpu_recovery_action>Reset', `<gpu_recovery_action>${text}`])).toBe(action);
  });

  it('is the recovery action where the older status is deprecated', () => {
    expect(asked('570')).toBe('none');
    expect(asked('570', ['<gpu_recovery_action>None', '<gpu_recovery_action>Reset'])).toBe('reset');
  });

  it('is the older status where the action says nothing', () => {
    expect(asked('570', ['<gpu_recovery_action>None', '<gpu_recovery_action>N/A'], status('Yes', 'No'))).toBe('reset');
  });

  it('is absent on drivers that never say', () => {
    expect(asked('470')).toBe('absent');
  });
});

describe('faults', () => {
  // A fault keeps a board from its reset: a broken one must not be worth less than a whole one.
  it.each(['Unkn\u0001own Error', 'Unk\uFFFDown Error', 'Unknown\u200b Error', 'Unkn&own Error', 'Unknown "Error', 'Unknown,\r Error', 'Unknow,n Error'])('are broken ones, too: %j', (text) => {
    const gpu = gpuOf('535', [/(<fb_memory_usage>[^]*?<used>)[^<]*/, `$1${text}`]);
    expect(gpu).toMatchObject({ usedMiB: { kind: 'error' }, processes: { state: 'unknown' } });
    expect(gpu.faults).toHaveLength(1);
    expect(gpuOf('535', ['<serial>N/A', `<serial>${text}`]).faults).toHaveLength(1);
  });

  it('are NVML\'s error texts, each once, and not what is merely unsupported', () => {
    const { faults } = gpuOf('535', ['<serial>N/A', '<serial>Unknown Error'], ['<gpu_temp>31 C', '<gpu_temp>Unknown Error'], ['<power_draw>71.20 W', '<power_draw>Requested functionality has been deprecated']);
    expect(faults).toEqual(['Unknown Error']);
  });

  it('in a field that has nothing to do with it leave the process list known', () => {
    expect(gpuOf('470', ['<gpu_temp>58 C', '<gpu_temp>Unknown Error']).processes.state).toBe('known');
  });

  it.each([
    ['the memory', ['<used>9417 MiB', '<used>Unknown Error']],
    ['the MIG mode', ['<current_mig>Disabled', '<current_mig>Insufficient Permissions']],
    ['the MIG devices', [/\n\s+None\n/, 'Unknown Error']],
    ['any field, the board being lost', ['<gpu_temp>58 C', '<gpu_temp>GPU is lost']],
  ] as const)('in %s make the process list unknown', (_, edit) => {
    expect(gpuOf('470', edit)).toMatchObject({ processes: { state: 'unknown' }, faults: [expect.any(String)] });
  });

  it('are not what a process calls itself', () => {
    const gpu = gpuOf('470', [/<process_name>[^<]*/, '<process_name>GPU is lost']);
    expect(gpu).toMatchObject({ faults: [], processes: { state: 'known', processes: [{ name: 'GPU is lost' }] } });
  });
});

describe('a GPU', () => {
  it.each([['GPU is lost'], ['Unknown Error'], ['N/A'], [''], ['GPU-XYZ'], ['GPU-00000000000000000000000000000000aaaa']])('whose UUID reads "%s" is missing, by its bus id', (text) => {
    const document = parseSmiXml(edited('535', [/<uuid>[^<]*/, `<uuid>${text}`]), 0);
    expect(document).toMatchObject({ state: 'partial', missing: [{ subject: '00000000:1a:00.0' }] });
    expect(document.state !== 'failed' && document.value.gpus.map(({ pciBusId }) => pciBusId)).toEqual(['00000000:5d:00.0']);
  });

  it('without a bus id is missing', () => {
    expect(parseSmiXml(edited('535', ['gpu id="00000000:1A:00.0"', 'gpu id="N/A"'], ['<pci_bus_id>00000000:1A:00.0', '<pci_bus_id>N/A']), 0)).toMatchObject({ state: 'partial', missing: [{ subject: 'gpu' }] });
  });

  it('has one process list, or the document is refused', () => {
    expect(verdict('470', [/<processes>[^]*?<\/processes>/, ''])).toBe('malformed: a <gpu> block has no <processes>');
    expect(verdict('470', ['<processes>', '<processes></processes><processes>'])).toBe('malformed: a <gpu> block has 2 <processes>');
  });

  it('cannot occur twice', () => {
    expect(verdict('535', [/GPU-0000535b-[^<]*/, 'GPU-0000535a-0001-4aaa-8bbb-0000535a535b'])).toBe('malformed: two <gpu> blocks have the same UUID');
    expect(verdict('535', [/00000000:5D:00\.0/, '00000000:1A:00.0'], ['<pci_bus_id>00000000:5D:00.0', '<pci_bus_id>00000000:1A:00.0'])).toBe('malformed: two <gpu> blocks have the same PCI bus id');
    expect(verdict('535', ['gpu id="00000000:5D:00.0"', 'gpu id="00000000:5E:00.0"'])).toContain('names two PCI bus ids');
  });

  it('is nowhere that is certain where one of its bus ids is broken, but is where one reads as an error', () => {
    for (const broken of ['00000000:5D?:00.0', '000&00000:5D:00.0']) {
      expect(verdict('535', ['gpu id="00000000:5D:00.0"', `gpu id="${broken}"`]), broken).toContain('names two PCI bus ids');
      expect(verdict('535', ['<pci_bus_id>00000000:5D:00.0', `<pci_bus_id>${broken}`]), broken).toContain('names two PCI bus ids');
    }
    expect(gpuOf('535', [/<pci_bus_id>00000000:1A:00\.0/, '<pci_bus_id>Unknown Error'])).toMatchObject({ pciBusId: '00000000:1a:00.0', faults: ['Unknown Error'] });
  });

  it('beyond those that are attached is refused, as are an unreadable number of them and none at all', () => {
    expect(verdict('535', ['<attached_gpus>2', '<attached_gpus>1'])).toBe('malformed: 1 GPUs are attached and 2 described');
    expect(verdict('535', ['<attached_gpus>2', '<attached_gpus>Unknown Error'])).toContain('attached_gpus is no number');
    expect(verdict('535', ['<attached_gpus>2', '<attached_gpus>0'], [/<gpu id[^]*<\/gpu>/, ''])).toBe('no-devices: nvidia-smi describes no GPU');
  });

  it('may not be the only one where the document does not say how many are attached, or says it in another place', () => {
    const uncounted = { state: 'partial', value: { attachedGpus: null }, missing: [{ subject: 'gpu', why: 'it does not say how many GPUs are attached' }] };
    expect(parseSmiXml(edited('470', [/<attached_gpus>.*\n/, '']), 0)).toMatchObject(uncounted);
    // As it was found: the line had changed places with one of a GPU's.
    expect(parseSmiXml(edited('535', [/(<attached_gpus>.*\n)([^]*?)(<minor_number>.*\n)/, '$3$2$1'], [/<gpu id="00000000:5D[^]*?<\/gpu>/, '']), 0)).toMatchObject(uncounted);
  });

  it('has MIG devices with numbers and instances', () => {
    const document = parseSmiXml(fixture('570', 'qx.xml'), 0);
    expect(document.state !== 'failed' && document.value.gpus[0]?.migDevices.map((device) => [device.index, device.gpuInstanceId, device.computeInstanceId])).toEqual([[0, 1, 0], [1, 1, 1], [2, 5, 0]]);
    expect(verdict('570', [/<index>1</, '<index>0<'])).toBe('malformed: two MIG devices of a GPU have the same index');
    expect(verdict('570', [/<index>1</, '<index>N/A<'])).toBe('malformed: a MIG device has no index');
  });
});

describe('a process list', () => {
  it.each([['N/A'], ['Insufficient Permissions'], ['Unknown Error'], ['<other/>'], ['text <process_info><pid>1</pid></process_info>']])('that reads "%s" is unknown, not empty', (body) => {
    const gpu = gpuOf('470', [/<processes>[^]*?<\/processes>/, `<processes>${body}</processes>`]);
    expect(gpu.processes.state).toBe('unknown');
  });

  it.each([['[Not Found]'], ['0'], ['-1'], ['4194305'], ['1.5'], [''], ['20110</pid><pid>20111']])('with a row whose pid reads "%s" is unknown', (pid) => {
    expect(gpuOf('470', ['<pid>20110<', `<pid>${pid}<`]).processes.state).toBe('unknown');
  });

  it('keeps each row, also of one process in several instances, and tells unknown memory from none', () => {
    expect(rowsOf('570', 0)).toEqual([[52000, 500, 1, 0], [52000, 520, 1, 1]]);
    expect(rowsOf('535', 1)).toEqual([[31001, 20976, 2, 0], [31002, null, 9, 0]]);
    expect(rowsOf('470', 0)).toEqual([[20110, 9410, null, null]]);
  });

  it('keeps a row of a type that it does not know as such', () => {
    expect(gpuOf('470', ['<type>C<', '<type>Q<']).processes).toMatchObject({ processes: [{ type: 'other' }] });
  });
});

describe('a hostile process name', () => {
  it.each([
    ['a line break and a tab', 'a\nb\tc', 'a?b?c'],
    ['NUL and escape', 'a\0b\u001B[2Jc', 'a?b?[2Jc'],
    ['DEL and C1', 'a\u007Fb\u009Bc', 'a?b?c'],
    ['bytes that are no UTF-8', 'a\uFFFDb', 'a?b'],
    ['non-characters', 'a\uFFFE\uFFFFb', 'a??b'],
    ['a change of writing direction', 'a\u202Egpj.exe', 'a?gpj.exe'],
    ['a line separator', 'a\u2028b', 'a?b'],
    ['the end of a CDATA section', ']]>', ']]>'],
    ['a raw greater-than sign and quotes', `>"'`, `>"'`],
    ['escaped markup', '&lt;/processes&gt;&lt;!DOCTYPE x&gt;', '</processes><!DOCTYPE x>'],
    ['escaped references', '&amp;lt;b&amp;gt; &amp;#10;', '&lt;b&gt; &#10;'],
    ['a reference that was cut', 'train &am', 'train &am'],
    ['unescaped ampersands', 'a & b &c; &#x0A;', 'a & b &c; &#x0A;'],
    ['a UUID', 'GPU-00000000-0000-0000-0000-000000000000', 'GPU-00000000-0000-0000-0000-000000000000'],
    ['a dollar pattern', '$& $1 $`', '$& $1 $`'],
    ['nothing', '', ''],
    ['an astral character', '🚀', '🚀'],
  ])('with %s is shown without harm', (_, raw, shown) => {
    expect(nameFrom(raw)).toBe(shown);
  });

  it.each([['a', 1], ['&amp;', 5], ['\u0001', 1], ['🚀', 2]])('of 1 MiB of "%s" is cut to a thousand characters', (piece, length) => {
    const name = nameFrom(piece.repeat(Math.floor(1_048_576 / length)));
    expect(name.length).toBeLessThanOrEqual(1024);
    expect(name.endsWith('…')).toBe(true);
    expect(name.isWellFormed()).toBe(true);
  });

  it('cannot take other rows with it', () => {
    // As if a driver did not escape: the blocks that are cut for speed must not reach across a row.
    const xml = edited('590', ['<process_name>/usr/bin/python3<', '<process_name><supported_clocks></process_name>x<'], [/(<pid>61002<[^]*?<process_name>)[^<]*/, '$1</supported_clocks>']);
    expect(parseSmiXml(xml, 0)).toMatchObject({ state: 'failed', code: 'malformed' });
    const nested = edited('590', ['<process_name>/usr/bin/python3<', '<process_name><accounted_processes></accounted_processes><']);
    const document = parseSmiXml(nested, 0);
    expect(document.state !== 'failed' && document.value.gpus[1]?.processes).toMatchObject({ state: 'known', processes: [{ pid: 61001 }, { pid: 61002 }] });
  });
});
