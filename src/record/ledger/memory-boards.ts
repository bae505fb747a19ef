/**
 * The beginning of a statement about `memory`: `boards (uuid)` has every board with a sample, and a null at its end. It
 * steps from one board to the next, so that a statement can go to each board's part of the table: a month of samples is a
 * hundred thousand rows, and to look at all of them costs more than the rest of a pass's reading.
 */
export const BOARDS_WITH_MEMORY = `
  WITH RECURSIVE boards (uuid) AS (
    SELECT min(gpu_uuid) FROM memory
    UNION ALL SELECT (SELECT min(gpu_uuid) FROM memory WHERE gpu_uuid > uuid) FROM boards WHERE uuid IS NOT NULL)`;
