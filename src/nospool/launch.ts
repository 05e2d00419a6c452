/** Entry of the `nospool` command. Knows nothing but where the rest of it lies, because an old Node must be able to read this file. */
import '../process/runtime.ts';

void import('./main.ts');
