/** Entry of the `nospool` command. Knows only where the rest of it lies, because even an old Node must be able to read this file. */
import '../process/runtime.ts';
import { nameGoneFolder } from './gone-folder.ts';

nameGoneFolder();
void import('./main.ts');
