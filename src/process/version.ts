/** The version of this program: the build writes it in, and sources that run as they are have none. */
declare const __VERSION__: string;

export const VERSION = typeof __VERSION__ === 'string' ? __VERSION__ : '0';
