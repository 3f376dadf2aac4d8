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
  j: d => pad(dayOfYear(d), 3),
  f: d => pad(d.getMilliseconds() * 1000, 6),
  k: d => String(d.getHours()).padStart(2),
  l: d => String(d.getHours() % 12 || 12).padStart(2),
  P: d => (d.getHours() < 12 ? 'am' : 'pm'),
  h: d => (MONTHS[d.getMonth()] ?? '').slice(0, 3),
  C: d => pad(Math.floor(d.getFullYear() / 100)),
  w: d => String(d.getDay()),
  u: d => String(d.getDay() || 7),
  U: d => pad(Math.floor((dayOfYear(d) + 6 - d.getDay()) / 7)),
  W: d => pad(Math.floor((dayOfYear(d) + 6 - ((d.getDay() + 6) % 7)) / 7)),
  V: d => pad(isoWeek(d).week),
  G: d => String(isoWeek(d).year),
  g: d => pad(isoWeek(d).year % 100),
  // The time has no zone, like Python's `datetime.now()`.
  z: () => '',
  Z: () => '',
  n: () => '\n',
  t: () => '\t',
  D: d => formatTime(d, '%m/%d/%y'),
  x: d => formatTime(d, '%m/%d/%y'),
  R: d => formatTime(d, '%H:%M'),
  r: d => formatTime(d, '%I:%M:%S %p'),
  X: d => formatTime(d, '%H:%M:%S'),
  c: d => formatTime(d, '%a %b %e %H:%M:%S %Y'),
  F: d => formatTime(d, '%Y-%m-%d'),
  T: d => formatTime(d, '%H:%M:%S'),
  '%': () => '%',
};

/** Counts from 1. */
const dayOfYear = (d: Date): number =>
  Math.round((Date.UTC(d.getFullYear(), d.getMonth(), d.getDate()) - Date.UTC(d.getFullYear(), 0, 1)) / 86_400_000) + 1;

/** The ISO week; it belongs to the year of its Thursday. */
function isoWeek(d: Date): { readonly year: number; readonly week: number } {
  const thursday = new Date(d.getFullYear(), d.getMonth(), d.getDate() + 4 - (d.getDay() || 7));
  return { year: thursday.getFullYear(), week: Math.floor((dayOfYear(thursday) - 1) / 7) + 1 };
}

/** Formats a date. `%-d` omits the leading zero; an unknown field is kept literally. */
export function formatTime(date: Date, format: string): string {
  return format.replace(/%(-?)(\w|%)/g, (whole, dash: string, field: string) => {
    const value = Object.hasOwn(FIELDS, field) ? FIELDS[field]?.(date) : undefined;
    if (value === undefined) return whole;
    return dash === '-' ? value.replace(/^[0 ]+(?=\d)/, '') : value;
  });
}
