/** Entry of the `nospool` command. Knows only where the rest of it lies, because even an old Node must be able to read this file. */
import '../process/runtime.ts';

void import('./main.ts');
