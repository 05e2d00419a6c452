/** Looks names up for a command, which ends with its verdict, whatever the C library waits for. Knows no host. */
import { systemNamesBy } from '../transport/lookup/endpoints.ts';

export const commandNames = systemNamesBy(() => import('./child-lookup.ts'));
