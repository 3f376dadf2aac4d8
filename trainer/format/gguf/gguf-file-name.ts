/** The names of GGUF files of language models. A file of an encoder of images stands next to one, and has `mmproj` in its name. */

export const isModelGguf = (name: string): boolean => name.endsWith('.gguf') && !name.toLowerCase().includes('mmproj');
