/** Tests that every link between Markdown pages leads to an existing file and heading. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

import { required } from '../../../trainer/narrow.ts';

const root = path.join(import.meta.dirname, '..', '..', '..');
const isCheckout = existsSync(path.join(root, '.git'));
const pages = isCheckout
  ? execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '*.md'], { cwd: root, encoding: 'utf8' })
      .split('\0')
      .filter(file => file !== '' && existsSync(path.join(root, file)))
  : [];
const files = isCheckout
  ? execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' }).split('\0')
  : [];
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

/** Returns the text without code, which is not searched for links or headings. */
const prose = (file: string): string =>
  read(file)
    .replaceAll(/^ *```[\s\S]*?^ *```$/gm, '')
    .replaceAll(/`[^`\n]*`/g, code => code.replaceAll(/[[\]()]/g, ''));

/** Returns the anchor that GitHub and VS Code give a heading. */
const anchorOf = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');

const anchorsOf = (file: string): string[] => [...prose(file).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading));

const linksOf = (file: string): string[] =>
  [...prose(file).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target).filter(target => !/^[a-z]+:/.test(target));

function isBroken(file: string, link: string): boolean {
  const [target = '', anchor] = link.split('#');
  const to = target === '' ? file : path.normalize(path.join(path.dirname(file), decodeURI(target)));
  if (!existsSync(path.join(root, to))) return true;
  return anchor !== undefined && to.endsWith('.md') && !anchorsOf(to).includes(anchor);
}

describe.skipIf(!isCheckout)(`pages${isCheckout ? '' : ' (skipped: not a git checkout)'}`, () => {
  test('no link is broken', () => {
    const links = pages.flatMap(file => linksOf(file).map(link => ({ file, link })));
    expect(links.length).toBeGreaterThan(100);
    expect(links.filter(({ file, link }) => isBroken(file, link)).map(({ file, link }) => `${file}: ${link}`)).toEqual([]);
  });

  test('the index leads to every page of the documentation', () => {
    const indexed = ['docs/README.md', 'docs/decisions/README.md'].flatMap(file =>
      linksOf(file).map(link => path.normalize(path.join(path.dirname(file), link))),
    );
    const own = pages.filter(file => file.startsWith('docs/') && file !== 'docs/README.md');
    expect(own.filter(file => !indexed.includes(file))).toEqual([]);
  });

  test('prose wraps at 100 columns', () => {
    const written = pages.filter(file => /^(docs|client|media|examples)\/|^(README|ARCHITECTURE|CONTRIBUTING|SECURITY)\.md$/.test(file));
    // A table, a comment or an unbreakable word may be longer.
    const isLong = (line: string): boolean =>
      line.length > 100 && !/^\s*(\||<!--)/.test(line) && /\S\s+\S/.test(line.slice(0, 100).trimStart());
    const long = written.flatMap(file =>
      read(file)
        .replaceAll(/^ *```[\s\S]*?^ *```$/gm, block => block.replaceAll(/.+/g, ''))
        .split('\n')
        .flatMap((line, i) => (isLong(line) ? [`${file}:${i + 1}`] : [])),
    );
    expect(long).toEqual([]);
  });

  test('a file that ARCHITECTURE.md names is in a room of its section, or at the path that it is named by', () => {
    const sections = read('ARCHITECTURE.md').split(/^(?=#{2,3} )/m);
    const named = sections.flatMap(section => {
      const heading = required(section.split('\n', 1)[0], 'a heading');
      const rooms = [...`${heading}\n${section}`.matchAll(/`([\w./-]+)`/g)].map(([, room = '']) => room);
      return [...section.matchAll(/`([\w./-]+\.(?:ts|mjs|cc))`/g)].map(([, file = '']) => ({ heading, rooms, file }));
    });
    const isThere = (rooms: readonly string[], file: string): boolean =>
      [file, `trainer/${file}`].some(place => files.includes(place)) ||
      files.some(each => rooms.some(room => each.startsWith(`${room}/`)) && each.endsWith(`/${file}`));
    expect(named.length).toBeGreaterThan(40);
    expect(named.filter(({ rooms, file }) => !isThere(rooms, file)).map(({ heading, file }) => `${heading}: ${file}`)).toEqual([]);
  });

  test('a file that CONTRIBUTING.md names is at this path, below trainer, or the only one of this name', () => {
    const named = [...read('CONTRIBUTING.md').matchAll(/`([\w./-]+\.(?:ts|mjs|py))`/g)].map(([, file = '']) => file);
    const isThere = (file: string): boolean =>
      [file, `trainer/${file}`].some(place => files.includes(place)) || files.filter(each => each.endsWith(`/${file}`)).length === 1;
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter(file => !isThere(file))).toEqual([]);
  });

  test('a page has one title, and it comes first', () => {
    const wrong = pages.filter(file => file.startsWith('docs/') && [...prose(file).matchAll(/^# /gm)].length !== 1);
    expect(wrong).toEqual([]);
  });
});
