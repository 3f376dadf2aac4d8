/** The part of C's strftime that chat templates use (`strftime_now("%d %b %Y")`), in English and local time. */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'];

const pad = (value: number, width = 2): string => String(value).padStart(width, '0');

const FIELDS: Readonly<Record<string, (date: Date) => string>> = {
  Y: d => String(d.getFullYear()),
  y: d => pad(d.getFullYear() % 100),
  m: d => pad(d.getMonth() + 1),
  d: d => pad(d.getDate()),
  e: d => String(d.getDate()).padStart(2),
  H: d => pad(d.getHours()),
  I: d => pad(d.getHours() % 12 || 12),
  M: d => pad(d.getMinutes()),
  S: d => pad(d.getSeconds()),
  p: d => (d.getHours() < 12 ? 'AM' : 'PM'),
  B: d => MONTHS[d.getMonth()] ?? '',
  b: d => (MONTHS[d.getMonth()] ?? '').slice(0, 3),
  A: d => DAYS[d.getDay()] ?? '',
  a: d => (DAYS[d.getDay()] ?? '').slice(0, 3),
  j: d => pad(Math.round((Date.UTC(d.getFullYear(), d.getMonth(), d.getDate()) - Date.UTC(d.getFullYear(), 0, 1)) / 86_400_000) + 1, 3),
  F: d => formatTime(d, '%Y-%m-%d'),
  T: d => formatTime(d, '%H:%M:%S'),
  '%': () => '%',
};

/** `%-d` drops the leading zero; an unknown field stays as it is written. */
export function formatTime(date: Date, format: string): string {
  return format.replace(/%(-?)(\w|%)/g, (whole, dash: string, field: string) => {
    const value = Object.hasOwn(FIELDS, field) ? FIELDS[field]?.(date) : undefined;
    if (value === undefined) return whole;
    return dash === '-' ? value.replace(/^[0 ]+(?=\d)/, '') : value;
  });
}
