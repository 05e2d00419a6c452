/** The configuration as the program uses it. Knows neither TOML nor the environment (`read.ts`). */
import type { Settings } from '../submit/settings.ts';

export type { Timeouts } from '../submit/settings.ts';

export interface Config extends Settings {
  /** The file that was read; '' = none, environment and defaults only. */
  readonly path: string;
  /** All files that were read: `path`, and those beside the system file. */
  readonly files: readonly string[];
  readonly lock: boolean;
}
