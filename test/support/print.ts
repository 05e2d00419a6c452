/** Prints the tables that ARCHITECTURE.md holds, as the code has them now. */
import { printMatrix, printSteps } from './matrix.ts';

console.log(`${printSteps()}\n\n${printMatrix()}`);
