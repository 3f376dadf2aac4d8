/** Names of repositories on the hub. */

/** `org/name`; a few old models have no organization. */
export const isHubName = (name: string): boolean => /^(?:\w[\w.-]{0,95}\/)?\w[\w.-]{0,95}$/.test(name) && !name.includes('..');
