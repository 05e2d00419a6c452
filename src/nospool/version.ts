/** The version of this build; '0' where it runs from source. Knows nothing else. */
declare const __VERSION__: string;

export const VERSION = typeof __VERSION__ === 'string' ? __VERSION__ : '0';
