/** Plain text for continued pre-training: the bodies of mails from mailing lists, one document each. */
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { mailsOf } from './spam-data.mjs';

/** Number of documents that two cores train on in about three minutes. */
const DOCUMENTS = 160;

/** @returns {string} a file of lines {"text"}, written on the first call */
export function ensureTextData(folder) {
  const file = path.join(folder, `mails-${DOCUMENTS}.jsonl`);
  if (existsSync(file)) return file;
  const documents = mailsOf('ham').slice(0, DOCUMENTS);
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${file}.tmp`, documents.map(({ text }) => `${JSON.stringify({ text })}\n`).join(''));
  renameSync(`${file}.tmp`, file);
  return file;
}
