/** Display names of runs, taken from their folders because two runs of one recipe have the same name. Handles paths of any system. */

const partsOf = (folder: string): string[] => folder.split(/[/\\]/).filter(Boolean);

/** The last part of a path. */
export const folderName = (folder: string): string => partsOf(folder).at(-1) ?? folder;

/** True if a folder is named after its recipe, optionally with the number of a later run. */
export const isNamedAfter = (folder: string, recipeName: string): boolean =>
  folder === recipeName || (folder.startsWith(`${recipeName}-`) && /^\d+$/.test(folder.slice(recipeName.length + 1)));

/** The shortest suffix of each path that is unique: `spam`, or `a/spam` next to `b/spam`. */
export function distinctNames(folders: readonly string[]): Map<string, string> {
  const all = [...new Set(folders)];
  const named = (count: number) => (folder: string) => partsOf(folder).slice(-count).join('/') || folder;
  return new Map(
    all.map(folder => {
      const most = partsOf(folder).length;
      for (let count = 1; count < most; count++) {
        const name = named(count);
        if (all.every(other => other === folder || name(other) !== name(folder))) return [folder, name(folder)];
      }
      return [folder, folder];
    }),
  );
}
