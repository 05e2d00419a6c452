/** Holds Bun's compiler back, because most of our code runs once. Loads nothing, because Bun starts a message with it. */

/** Has Bun make machine code only of what runs ten times as often as it else would ask for. */
export const compileLate = (): void => Bun?.unsafe.setJITPolicy?.(10);
