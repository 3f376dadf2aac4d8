/**
 * Converts a raw e-mail to the text that a reader sees. Most of a raw mail is transport headers, which give the answer away (for example,
 * the verdict of a spam filter). Only Subject, From and the body are kept, without HTML tags, in one paragraph.
 */

/** Maximum length, about 500 tokens; no model of the demo reads more. */
const MAX_CHARACTERS = 2000;

/** @returns {{ subject: string, from: string, body: string, text: string }} `text` is all of it, truncated to what a model reads */
export function readMail(raw) {
  const { headers, content } = splitMessage(raw);
  const subject = oneLine(decodeWords(headers.get('subject') ?? ''));
  const from = oneLine(decodeWords(headers.get('from') ?? ''));
  const body = oneLine(bodyText(headers, content, 0));
  const text = `Subject: ${subject}\nFrom: ${from}\n\n${body}`;
  return { subject, from, body, text: text.slice(0, MAX_CHARACTERS).trim() };
}

function splitMessage(raw) {
  // Some messages start with the separator line of a mailbox file.
  const message = raw.replaceAll('\r\n', '\n').replace(/^From .*\n/, '');
  const end = message.indexOf('\n\n');
  const head = (end < 0 ? message : message.slice(0, end)).replaceAll(/\n[ \t]+/g, ' ');
  const headers = new Map();
  for (const line of head.split('\n')) {
    const [, name, value] = /^([!-9;-~]+):\s*(.*)$/.exec(line) ?? [];
    if (name !== undefined && !headers.has(name.toLowerCase())) headers.set(name.toLowerCase(), value);
  }
  return { headers, content: end < 0 ? '' : message.slice(end + 2) };
}

/** Maximum nesting of parts; deeper than in any real mail. */
const MAX_PARTS_DEPTH = 5;

function bodyText(headers, content, depth) {
  const type = headers.get('content-type') ?? 'text/plain';
  const boundary = /boundary="?([^";\s]+)/i.exec(type)?.[1];
  if (/^multipart\//i.test(type) && boundary !== undefined && depth < MAX_PARTS_DEPTH) return firstText(content, boundary, depth);
  const decoded = decodeTransfer(content, (headers.get('content-transfer-encoding') ?? '').trim().toLowerCase());
  return /^text\/html/i.test(type) || /<(html|body|table|br|font)\b/i.test(decoded) ? stripHtml(decoded) : decoded;
}

/** Returns the first part with text. Mail programs put plain text before HTML with the same content. */
function firstText(content, boundary, depth) {
  const parts = content.split(`--${boundary}`).slice(1);
  for (const part of parts) {
    const { headers, content: inner } = splitMessage(part.replace(/^\s*\n/, ''));
    const type = headers.get('content-type') ?? 'text/plain';
    if (!/^(text|multipart)\//i.test(type)) continue;
    const text = bodyText(headers, inner, depth + 1);
    if (text.trim() !== '') return text;
  }
  return '';
}

function decodeTransfer(content, encoding) {
  if (encoding === 'base64') return Buffer.from(content, 'base64').toString('latin1');
  if (encoding !== 'quoted-printable') return content;
  return content.replaceAll(/=\n/g, '').replaceAll(/=([\dA-Fa-f]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** Decodes =?charset?B|Q?…?= in a header (RFC 2047). */
function decodeWords(value) {
  return value.replaceAll(/=\?[^?]+\?([BbQq])\?([^?]*)\?=/g, (_, kind, data) =>
    kind.toLowerCase() === 'b'
      ? Buffer.from(data, 'base64').toString('latin1')
      : decodeTransfer(data.replaceAll('_', ' '), 'quoted-printable'),
  );
}

const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' };

function stripHtml(html) {
  return html
    .replaceAll(/<(script|style|head)\b[\s\S]*?<\/\1\s*>/gi, ' ')
    .replaceAll(/<!--[\s\S]*?-->/g, ' ')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/&#(\d{1,5});/g, (_, code) => String.fromCharCode(Number(code)))
    .replaceAll(/&(\w+);/g, (whole, name) => ENTITIES[name.toLowerCase()] ?? whole);
}

const oneLine = text => text.replaceAll(/[\p{Cc}\p{Zs}\uFFFD]+/gu, ' ').trim();
