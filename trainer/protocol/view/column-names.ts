/** Names of a module's columns, where they are shown separately from its rows. */

const SUFFIX = ' columns';

export const columnsName = (module: string): string => `${module}${SUFFIX}`;

/** The module of a name for columns; other names are returned unchanged. */
export const moduleOfColumns = (name: string): string => (name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : name);
