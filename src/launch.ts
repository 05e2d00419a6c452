/** Starts the sendmail command. Knows nothing of mail. */
import './first.ts';
import { start } from './loader.ts';

start(__dirname);
