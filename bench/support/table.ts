/** The table that a bench returns: columns and rows. Knows neither measuring nor printing. */
import type { Row } from './rounds.ts';

export interface Column {
  /** The name of the measure in the rows. */
  readonly key: string;
  readonly title: string;
  readonly digits: number;
  /** Also shown as a ratio to the base row. */
  readonly ratio?: boolean;
  /** True if more is better. */
  readonly more?: boolean;
  /** Show the median alone, because it does not vary or the table has many columns. */
  readonly single?: boolean;
  /** Measures that share the column, their medians in this order. */
  readonly keys?: readonly string[];
}

export interface Table {
  readonly title: string;
  /** The receiver, and other facts about this table alone. */
  readonly note: string;
  /** The row that ratios refer to; the first row if that one has no numbers here. */
  readonly base: string;
  readonly columns: readonly Column[];
  /** The measures to draw, side by side; [] = no chart. */
  readonly chart: readonly string[];
  readonly rows: readonly Row[];
}
