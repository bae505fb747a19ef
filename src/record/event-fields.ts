/** A field of an event line, but for the free `gpuctl.*` facts. */
interface Field {
  readonly schema: Readonly<Record<string, unknown>>;
  readonly required: boolean;
  readonly meaning: string;
}

/** Version of the Elastic Common Schema whose names the fields have. */
export const ECS_VERSION = '8.11.0';
/** Version of gpuctl's own event format; raised where a field changes its meaning. */
export const EVENT_SCHEMA = 1;

const text = { type: 'string' };

/** Every field of an event line in its order: the source of the line, of the JSON Schema and of docs/events.md. */
export const FIELDS = {
  '@timestamp': { schema: { type: 'string', pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$' }, required: true, meaning: 'When the event was written, UTC, milliseconds.' },
  'ecs.version': { schema: { const: ECS_VERSION }, required: true, meaning: 'Version of the Elastic Common Schema.' },
  'log.level': { schema: { enum: ['debug', 'info', 'warn', 'error'] }, required: true, meaning: 'Every alert is warn or error.' },
  'message': { schema: text, required: true, meaning: 'One sentence for people.' },
  'event.action': { schema: text, required: true, meaning: 'What happened; see the table of actions.' },
  'event.kind': { schema: { enum: ['alert', 'event'] }, required: true, meaning: 'alert: an admin should act.' },
  'event.module': { schema: { const: 'gpuctl' }, required: true, meaning: 'Always gpuctl.' },
  'event.outcome': { schema: { enum: ['success', 'failure', 'unknown'] }, required: false, meaning: 'How an act ended.' },
  'event.reason': { schema: text, required: false, meaning: 'A code of the table of reasons, or a word that the action names.' },
  'host.name': { schema: text, required: true, meaning: 'The host that gpuctl ran on.' },
  'container.id': { schema: text, required: false, meaning: 'Full id.' },
  'container.name': { schema: text, required: false, meaning: 'Chosen by a user.' },
  'process.pid': { schema: { type: 'integer', minimum: 0 }, required: false, meaning: 'In the pid namespace of the host.' },
  'process.name': { schema: text, required: false, meaning: 'Chosen by a user.' },
  'user.name': { schema: text, required: false, meaning: 'Owner of the container, or user of the process.' },
  'gpu.uuid': { schema: text, required: false, meaning: 'UUID of the board, also where the event is about a MIG device.' },
  'gpu.index': { schema: { type: 'integer', minimum: 0 }, required: false, meaning: 'As nvidia-smi numbers the boards.' },
  'gpu.bus_id': { schema: text, required: false, meaning: 'PCI bus id with an eight-digit domain.' },
  'gpu.mig': { schema: text, required: false, meaning: 'UUID of the MIG device.' },
  'gpu.verdict': { schema: { enum: ['clean', 'orphans', 'dirty', 'faulty', 'unknown'] }, required: false, meaning: 'Health of the device.' },
  'gpuctl.schema': { schema: { const: EVENT_SCHEMA }, required: true, meaning: 'Version of this format.' },
  'gpuctl.version': { schema: text, required: true, meaning: 'Version of gpuctl.' },
  'gpuctl.pass': { schema: text, required: false, meaning: 'Id of the pass; equal in all of its events.' },
  'gpuctl.job': { schema: text, required: false, meaning: 'The command that the pass ran.' },
  'gpuctl.dry_run': { schema: { type: 'boolean' }, required: true, meaning: 'true: nothing was done; such events are never in the file.' },
  'gpuctl.alert': { schema: { type: 'boolean' }, required: true, meaning: 'true: an admin should act.' },
  'gpuctl.truncated': { schema: { const: true }, required: false, meaning: 'Something was shortened or left out to keep the line within its length.' },
} as const satisfies Record<string, Field>;

export type FieldName = keyof typeof FIELDS;

/** Free facts: `gpuctl.` and a name like this one. */
export const FACT_NAME = /^[a-z][a-z0-9_]{0,63}$/;
