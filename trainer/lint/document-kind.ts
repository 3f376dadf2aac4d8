/** Which files the linter reads, told by their names. */

/** A config of a model folder by what it describes. */
export type ConfigKind = 'config' | 'generation' | 'adapter' | 'index';
export type DocumentKind = 'recipe' | ConfigKind;

const configNames: Readonly<Record<string, ConfigKind>> = {
  'config.json': 'config',
  'generation_config.json': 'generation',
  'adapter_config.json': 'adapter',
  'model.safetensors.index.json': 'index',
  'pytorch_model.bin.index.json': 'index',
};

/** @param file a path or an address; undefined for what is neither a recipe nor a config of a model */
export function documentKind(file: string): DocumentKind | undefined {
  const name =
    file
      .replace(/[?#].*$/, '')
      .split(/[/\\]/)
      .at(-1) ?? '';
  if (/\.rowtune\.(?:ya?ml|json)$/i.test(name)) return 'recipe';
  return Object.hasOwn(configNames, name) ? configNames[name] : undefined;
}
