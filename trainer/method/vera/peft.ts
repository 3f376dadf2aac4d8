/** Vectors and shared matrices in PEFT's VeRA form. */
import type { PeftFile, PeftForm, PeftTensor } from '../peft-form.ts';
import type { TrainedParts, VeraShape } from '../trained-parts.ts';
import { veraProjectionsOf } from './attach.ts';
import { shapeOf, veraMatrices } from './merge.ts';

/** Ending of the name of a module's output vector. */
const SCALES = '.vera_lambda_b';

export const vectorsInPeft: PeftForm = {
  type: 'VERA',
  toPeft: ({ adapter, modules }) => {
    const vera = shapeOf(adapter.description.vera);
    const names = modules.map(({ name }) => name);
    return {
      tensors: names.flatMap(name => [`${name}${SCALES}`, `${name}.vera_lambda_d`].map(vector => asTrained(adapter, vector))),
      shared: matrices(adapter, vera),
      config: {
        peft_type: 'VERA',
        r: vera.r,
        projection_prng_key: vera.projectionKey,
        save_projection: true,
        target_modules: names,
        vera_dropout: 0,
        d_initial: 0.1,
        init_weights: true,
      },
    };
  },
  fromPeft: {
    reads: () => true,
    partsOf: (file, problems) => ({
      modules: [...file.shapes.keys()].filter(name => name.endsWith(SCALES)).map(name => name.slice(0, -SCALES.length)),
      vera: veraShapeOf(file, problems),
      shared: ['vera_A', 'vera_B'],
    }),
  },
};

const asTrained = (adapter: TrainedParts, name: string): PeftTensor => ({
  name,
  shape: adapter.tensors.get(name)?.shape ?? [],
  values: () => adapter.readFloat32(name),
});

/** The matrices that all modules share: read from the adapter, or generated from their key. */
function matrices(adapter: TrainedParts, vera: VeraShape): PeftTensor[] {
  const { a, b } = veraProjectionsOf(vera);
  let made: ReturnType<typeof veraMatrices> | undefined;
  const both = () => {
    made ??= veraMatrices(adapter, vera);
    return made;
  };
  return [
    { ...a, values: async () => (await both()).a },
    { ...b, values: async () => (await both()).b },
  ];
}

/** The size of the shared matrices: from the file if it stores them, otherwise the size that PEFT would use for these vectors. */
function veraShapeOf({ config, shapes }: PeftFile, problems: string[]): VeraShape {
  const projectionKey = config.projection_prng_key ?? 0;
  const [r = 0, input = 0] = shapes.get('vera_A') ?? [];
  const [output = 0, columns] = shapes.get('vera_B') ?? [];
  if (shapes.has('vera_A') !== shapes.has('vera_B')) problems.push('has one of vera_A and vera_B, not both');
  if (shapes.has('vera_A')) {
    if (r !== config.r || columns !== config.r)
      problems.push(`vera_A and vera_B have the ranks ${r} and ${columns}; adapter_config.json says ${config.r}`);
    return { r: config.r, input, output, projectionKey };
  }
  // Their width is that of the base's widest target, which the file does not state.
  const widest = [...shapes].flatMap(([name, [rows = 0]]) => (name.endsWith(SCALES) ? [rows] : []));
  return { r: config.r, input: 0, output: Math.max(0, ...widest), projectionKey };
}
