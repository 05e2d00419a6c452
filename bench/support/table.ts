/** The table that a bench returns: columns and rows. Knows neither how it was measured nor how it is shown. */
import type { Row } from './rounds.ts';

export interface Column {
  /** Name of the measure in the rows. */
  readonly key: string;
  readonly title: string;
  readonly digits: number;
  /** Also shown as a ratio to the base row. */
  readonly ratio?: boolean;
  /** More of it is better. */
  readonly more?: boolean;
  /** The median alone: it does not vary, or the column is one of many. */
  readonly single?: boolean;
  /** Measures that share the column, their medians in this order. */
  readonly keys?: readonly string[];
}

export interface Table {
  readonly title: string;
  /** What received, and whatever else is particular to this table. */
  readonly note: string;
  /** The row that ratios are to; the first row if it has no numbers here. */
  readonly base: string;
  readonly columns: readonly Column[];
  /** The measures that are drawn, side by side; none: no chart. */
  readonly chart: readonly string[];
  readonly rows: readonly Row[];
}
