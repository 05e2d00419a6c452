/** What is told of a configuration in more than one place. Reads nothing. */
import type { Smarthost } from '../router/smarthost.ts';
import type { Config } from './config.ts';

/** The files of which it was made, for people. */
export const printFiles = ({ files }: Pick<Config, 'files'>, separator = ' '): string =>
  files.length === 0 ? 'none: environment and defaults' : files.join(separator);

/** Every smart host: those of `smarthosts`, then those of the routers. */
export const allHosts = ({ smarthosts, routers }: Pick<Config, 'smarthosts' | 'routers'>): readonly Smarthost[] => [
  ...smarthosts,
  ...routers.flatMap((router) => (router.driver === 'manualroute' ? router.hosts : [])),
];
