/** Tests the demo's reader of e-mails: it returns what a person would see, and nothing of the transport. */
import { expect, test } from 'vitest';
import { readMail } from '../../../scripts/demo/mail.mjs';

test('headers are removed, except subject and sender', () => {
  const mail = readMail(
    'From x@y Thu Aug 22\nX-Spam-Status: Yes, score=12\nReceived: from a\n\tby b\nFrom: Ada <ada@x.org>\nSubject: Hi\n there\n\nOne\n\ntwo.\n',
  );
  expect(mail).toEqual({
    subject: 'Hi there',
    from: 'Ada <ada@x.org>',
    body: 'One two.',
    text: 'Subject: Hi there\nFrom: Ada <ada@x.org>\n\nOne two.',
  });
});

test('HTML tags, styles and entities', () => {
  const mail = readMail(
    'Content-Type: text/html\n\n<html><style>p { color: red }</style><body><p>Free&nbsp;money &amp; <b>more</b>&#33;</p></body></html>',
  );
  expect(mail.body).toBe('Free money & more !');
});

test('quoted-printable, base64 and encoded words', () => {
  expect(readMail('Content-Transfer-Encoding: quoted-printable\n\na=3Db =\nc').body).toBe('a=b c');
  expect(
    readMail(`Content-Transfer-Encoding: base64\nSubject: =?utf-8?B?${btoa('win')}?= =?iso-8859-1?Q?a_car?=\n\n${btoa('hello')}`),
  ).toMatchObject({
    subject: 'win a car',
    body: 'hello',
  });
});

test('a multipart message is read from its text part', () => {
  const part = (type: string, text: string) => `--b1\nContent-Type: ${type}\n\n${text}\n`;
  const mail = readMail(
    `Content-Type: multipart/mixed; boundary="b1"\n\nignored\n${part('image/png', 'AAAA')}${part('text/plain', 'the text')}--b1--\n`,
  );
  expect(mail.body).toBe('the text');
});

test('a long mail is cut', () => expect(readMail(`Subject: s\n\n${'word '.repeat(5000)}`).text.length).toBeLessThanOrEqual(2000));
