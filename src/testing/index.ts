/** The door of the smart host for tests. */
export const SOON = true;
