/** Recognizes the files that the linter reads, by their names. */

/** The kinds of configs in a model folder. */
export type ConfigKind = 'config' | 'generation' | 'adapter' | 'index' | 'processor';
export type DocumentKind = 'recipe' | ConfigKind;

const configNames: Readonly<Record<string, ConfigKind>> = {
  'config.json': 'config',
  'generation_config.json': 'generation',
  'adapter_config.json': 'adapter',
  'preprocessor_config.json': 'processor',
  'processor_config.json': 'processor',
  'model.safetensors.index.json': 'index',
  'pytorch_model.bin.index.json': 'index',
};

/** The kind of a document; undefined for other files. @param file a path or a URI */
export function documentKind(file: string): DocumentKind | undefined {
  const name =
    file
      .replace(/[?#].*$/, '')
      .split(/[/\\]/)
      .at(-1) ?? '';
  if (/\.rowtune\.(?:ya?ml|json)$/i.test(name)) return 'recipe';
  return Object.hasOwn(configNames, name) ? configNames[name] : undefined;
}
