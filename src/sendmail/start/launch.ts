/** Starts the sendmail command. Knows nothing of mail. */
import '../../process/runtime.ts';
import { start } from './loader.ts';

start(__dirname);
