/**
 * Prints dates of a place that lies `zone` minutes east of UTC. The runtime's own printers ask ICU, of which even toISOString
 * costs Node a mebibyte. Knows no clock.
 */

const two = (n: number): string => String(n).padStart(2, '0');

const placeOf = (date: Date, zone: number): Date => new Date(date.getTime() + zone * 60_000);

/** `14:56:56 +0000` */
function printTime(local: Date, zone: number): string {
  const minutes = Math.abs(Math.trunc(zone));
  const offset = `${zone < 0 ? '-' : '+'}${two(Math.trunc(minutes / 60))}${two(minutes % 60)}`;
  return `${[local.getUTCHours(), local.getUTCMinutes(), local.getUTCSeconds()].map(two).join(':')} ${offset}`;
}

/** Prints a date by RFC 5322 §3.3: `Sun, 22 Nov 2026 14:56:56 +0000`. */
export function printDate(date: Date, zone: number): string {
  const local = placeOf(date, zone);
  const day = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'][local.getUTCDay()];
  const month = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'][local.getUTCMonth()];
  return `${day}, ${local.getUTCDate()} ${month} ${local.getUTCFullYear()} ${printTime(local, zone)}`;
}

/** `2026-11-22 14:56:56 +0000`, as Exim writes it with `log_timezone`, because callers have time zones of their own. */
export function printStamp(date: Date, zone: number): string {
  const local = placeOf(date, zone);
  return `${local.getUTCFullYear()}-${two(local.getUTCMonth() + 1)}-${two(local.getUTCDate())} ${printTime(local, zone)}`;
}
