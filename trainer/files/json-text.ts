/** Writes JSON for Python, where 2.0 is a float, and a class that requires one refuses 2. JavaScript writes both as 2. */
import { isRecord } from '../narrow.ts';

type Path = readonly (string | number)[];

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[{}[\],]/g;

/** The spelling of each number in a JSON text, by its path. */
function numberSpellings(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const open: { key: string | number; isNamed: boolean }[] = [];
  for (const [token] of text.matchAll(TOKEN)) {
    const inside = open.at(-1);
    if (token === '{') open.push({ key: '', isNamed: false });
    else if (token === '[') open.push({ key: 0, isNamed: true });
    else if (token === '}' || token === ']') open.pop();
    else if (token === ',') {
      if (typeof inside?.key === 'number') inside.key++;
      else if (inside) inside.isNamed = false;
    } else if (token.startsWith('"')) {
      if (!inside || inside.isNamed) continue;
      inside.key = String(JSON.parse(token));
      inside.isNamed = true;
    } else found.set(keyOf(open.map(({ key }) => key)), token);
  }
  return found;
}

const keyOf = (path: Path): string => JSON.stringify(path);

/**
 * Writes a value as indented JSON with a final line end.
 * @param like the text that the value comes from: numbers at the same path keep their spelling
 */
export function jsonLike(value: unknown, like: string): string {
  const spellings = numberSpellings(like);
  const write = (part: unknown, path: Path, indent: string): string => {
    const deeper = `${indent}  `;
    const block = (open: string, lines: readonly string[], close: string): string =>
      lines.length === 0 ? open + close : `${open}\n${lines.map(line => deeper + line).join(',\n')}\n${indent}${close}`;
    if (Array.isArray(part))
      return block(
        '[',
        part.map((each, i) => write(each, [...path, i], deeper)),
        ']',
      );
    if (isRecord(part)) {
      const entries = Object.entries(part).filter(([, each]) => each !== undefined);
      return block(
        '{',
        entries.map(([key, each]) => `${JSON.stringify(key)}: ${write(each, [...path, key], deeper)}`),
        '}',
      );
    }
    if (typeof part === 'number' && !Number.isFinite(part)) return String(part); // As Python writes it.
    const spelling = typeof part === 'number' ? spellings.get(keyOf(path)) : undefined;
    return spelling !== undefined && Number(spelling) === part ? spelling : (JSON.stringify(part) ?? 'null');
  };
  return `${write(value, [], '')}\n`;
}
