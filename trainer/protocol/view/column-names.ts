/** Names of the columns of a module, where they are shown apart from its rows. */

const SUFFIX = ' columns';

export const columnsName = (module: string): string => `${module}${SUFFIX}`;

/** The module of columns of this name; any other name stays. */
export const moduleOfColumns = (name: string): string => (name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : name);
