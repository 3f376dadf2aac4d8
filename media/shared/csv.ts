/** Tables as text that spreadsheets read (RFC 4180). */

export type CsvValue = string | number | boolean | undefined;

/** Values that need it are quoted; what a spreadsheet would run as a formula is kept from it by a leading apostrophe. */
function field(value: CsvValue): string {
  if (value === undefined) return '';
  if (typeof value !== 'string') return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

export const toCsv = (rows: readonly (readonly CsvValue[])[]): string => rows.map(row => `${row.map(field).join(',')}\r\n`).join('');
