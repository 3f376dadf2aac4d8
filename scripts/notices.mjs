/** The licenses of the packages whose code is in the bundles, as their terms require. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const LICENSE_FILE = /^(licen[cs]e|notice|copying)(\.|-|$)/i;

/**
 * Returns the folder of the package that a file belongs to: the innermost one below `node_modules`.
 * @param {string} file path with slashes @returns {string | undefined}
 */
export function packageOf(file) {
  return /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1];
}

/**
 * Returns the notices of all bundled packages.
 * @param {string} root folder that `files` are relative to
 * @param {readonly string[]} files inputs of a bundle
 * @returns {string} one section per package, sorted by name; a package without a license file is listed with the license in its manifest
 */
export function thirdPartyNotices(root, files) {
  const folders = [...new Set(files.map(packageOf).filter(folder => folder !== undefined))];
  const packages = folders.filter(folder => existsSync(path.join(root, folder, 'package.json'))).map(folder => describe(root, folder));
  const byName = new Map(packages.map(item => [`${item.name}@${item.version}`, item]));
  const sections = [...byName.keys()].sort().map(key => {
    const { license, text } = byName.get(key);
    return `${'='.repeat(72)}\n${key} (${license})\n${'='.repeat(72)}\n\n${text}\n`;
  });
  return `Rowtune contains code of the following packages.\n\n${sections.join('\n')}`;
}

function describe(root, folder) {
  const { name, version, license, author } = JSON.parse(readFileSync(path.join(root, folder, 'package.json'), 'utf8'));
  const files = readdirSync(path.join(root, folder)).filter(file => LICENSE_FILE.test(file));
  const texts = files.sort().map(file => readFileSync(path.join(root, folder, file), 'utf8').trim());
  const by = typeof author === 'string' ? author : (author?.name ?? 'its authors');
  const text = texts.length > 0 ? texts.join('\n\n') : `Copyright ${by}. Licensed under ${license}.`;
  return { name, version, license: typeof license === 'string' ? license : 'see below', text };
}
