import { EVENTS } from '../model/event.ts';
import { FACT_NAME, FIELDS } from './event-fields.ts';

/** The JSON Schema (draft 2020-12) that every line of the event stream satisfies. */
export function eventSchema(): object {
  const fields = Object.entries(FIELDS);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'gpuctl event',
    description: 'One line of the event stream. Lines are at most 8192 bytes long, newline included.',
    type: 'object',
    required: fields.filter(([, { required }]) => required).map(([name]) => name),
    properties: {
      ...Object.fromEntries(fields.map(([name, { schema, meaning }]) => [name, { description: meaning, ...schema }])),
      'event.action': { description: FIELDS['event.action'].meaning, oneOf: actions() },
    },
    patternProperties: { [`^gpuctl\\.${FACT_NAME.source.slice(1)}`]: { description: 'A fact of this action.' } },
    additionalProperties: false,
    if: { properties: { 'gpuctl.alert': { const: true } } },
    // oxlint-disable-next-line unicorn/no-thenable -- the schema's own keyword
    then: { properties: { 'log.level': { enum: ['warn', 'error'] }, 'event.kind': { const: 'alert' } } },
    else: { properties: { 'event.kind': { const: 'event' } } },
  };
}

function actions(): readonly object[] {
  return Object.entries(EVENTS).map(([action, { meaning }]) => ({ const: action, description: meaning }));
}
