/** Names of repositories on the hub. */

/** `org/name`; a few old models have no organization. */
export const isHubName = (name: string): boolean => /^(?:\w[\w.-]{0,95}\/)?\w[\w.-]{0,95}$/.test(name) && !name.includes('..');

const ADDRESS = /^(?:https?:\/\/(?:www\.)?huggingface\.co\/|hf:\/\/)(?!datasets\/|spaces\/)([\w.-]+\/[\w.-]+)/;

/** The name of the model at an address on the hub; undefined for other text. */
export const modelAt = (address: string): string | undefined => ADDRESS.exec(address)?.[1];
