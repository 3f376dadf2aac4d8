/** Formats numbers, times, sizes and tables as text for people. */

/** A duration: 12.3 s, 2 min 5 s, 1 h 3 min. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return 'unknown';
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** A size in decimal units, as disks and the rest of the project use them: 12.3 MB. */
export function byteSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

/** The number of floating-point operations of a batch: 146 GFLOP, 21.5 MFLOP. */
export function flopCount(flops: number): string {
  const [unit, size] = flops >= 1e9 ? (['GFLOP', 1e9] as const) : (['MFLOP', 1e6] as const);
  const value = flops / size;
  return `${value >= 100 ? grouped(Math.round(value)) : value.toFixed(1)} ${unit}`;
}

/** The text with a capital first letter; the rest is unchanged. */
export const capitalized = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** A number with separators of thousands. Integers do without `toLocaleString`, whose first call in a process takes 20 ms. */
export const grouped = (value: number): string =>
  Number.isSafeInteger(value) ? String(value).replace(/\B(?=(\d{3})+$)/g, ',') : value.toLocaleString('en-US');

/** '1 step', '1,200 steps'. */
export const counted = (count: number, what: string): string => `${grouped(count)} ${what}${count === 1 ? '' : 's'}`;

/** "1 process", "4 processes" */
export const processesText = (count: number): string => (count === 1 ? '1 process' : `${count} processes`);

export const percent = (share: number, digits = 1): string => `${(100 * share).toFixed(digits)}%`;

/** 135M, 7.2B, 940k: the usual way to write model sizes. */
export function parameterCount(count: number): string {
  const units = [
    { unit: 'B', size: 1e9 },
    { unit: 'M', size: 1e6 },
    { unit: 'k', size: 1e3 },
  ];
  const found = units.find(({ size }) => count >= size);
  if (found === undefined) return String(count);
  const value = count / found.size;
  return `${value >= 100 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, '')}${found.unit}`;
}

/** True for sizes that read better with an exponent, such as 1e-4 and 4.08e-5. */
const isTiny = (value: number): boolean => value !== 0 && Math.abs(value) < 1e-3;

/** A number with all of its digits, as people set it: 16, 0.05, 1e-4, 4.08e-5. */
export const exactNumber = (value: number): string => (isTiny(value) ? value.toExponential() : String(value));

/** A number with four significant digits: 0.5012, 12.35, 1.5e-5. */
export function compact(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return isTiny(value) || Math.abs(value) >= 1e6 ? Number(value.toPrecision(3)).toExponential() : String(Number(value.toPrecision(4)));
}

/** A table with columns two spaces apart; columns of numbers are right-aligned. */
export function table(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(0, ...rows.map(row => row.length));
  const widths = Array.from({ length: columns }, (_, i) => Math.max(...rows.map(row => row[i]?.length ?? 0)));
  const numeric = widths.map((_, i) => rows.length > 1 && rows.slice(1).every(row => /^[-+\d.,]*(e[-+]?\d+)?%?$/.test(row[i] ?? '')));
  return rows
    .map(row =>
      widths
        .map((width, i) => (numeric[i] ? (row[i] ?? '').padStart(width) : (row[i] ?? '').padEnd(width)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The shape of a batch: "4 × 512 tokens", "16 samples"; a sample without a length has one token. */
export const batchSize = ({ batch, tokens }: { readonly batch: number; readonly tokens: number }): string =>
  tokens > 1 ? `${grouped(batch)} × ${grouped(tokens)} tokens` : counted(batch, 'sample');

/** Text to append to a description of activations if the device's own compiler has counted them. @param source the source of an estimate */
export const countedText = (source: unknown): string => (source === 'compiler' ? ', as counted by the compiler' : '');
