/** Prints the compiled programs of a recipe's run as text. */
import { type EngineName, engineCatalog } from '../catalog/engines.ts';
import { passesThrough, planner } from '../graph/fusion/plan.ts';
import { singleSteps } from '../graph/fusion/step.ts';
import { nodesFlops } from '../graph/liveness.ts';
import { printProgram, printSignature } from '../graph/print.ts';
import { type HeadersSource, headersOf } from '../lint/facts/estimate-model.ts';
import { planRun } from '../plan/run-plan.ts';
import { type DataPlaces, seesImages } from '../plan/sees-images.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';

export type GraphParams = HeadersSource & {
  readonly recipe: Recipe;
  /** The places of the recipe's data, whose first samples show whether it brings images. */
  readonly dataIn: DataPlaces;
  readonly engine: EngineName;
  readonly device: 'cpu' | 'gpu';
  /** The program to print; if left out, all. */
  readonly signature?: string | undefined;
  /** Whether to print the fused steps that the engine runs. */
  readonly fused: boolean;
  /** The pass of the fusion planner to stop after. */
  readonly after?: string | undefined;
  /** Whether to print the MiB alive at each step. */
  readonly memory: boolean;
};

export interface PrintedGraph {
  /** The text; undefined if there is no such signature. */
  readonly text: string | undefined;
  readonly signatures: readonly { readonly name: string; readonly nodes: number; readonly flops: number }[];
}

/** Rejects if the headers cannot be read, or the recipe does not fit the model. */
export async function printGraph(params: GraphParams): Promise<PrintedGraph> {
  const { recipe, dataIn, engine, device, signature, fused, after, memory } = params;
  const headers = await headersOf(params);
  const plan = planRun({ recipe, headers, seesImages: await seesImages(recipe, headers.config, dataIn), on: { engine, device } });
  // `auto` counts as its first choice.
  const program = plan.program(plan.recompute === 'auto' ? 'cheap' : plan.recompute);
  const options = { steps: fused && engineCatalog[engine].fuses ? planner(undefined, passesThrough(after)) : singleSteps, memory };
  const chosen = signature === undefined ? undefined : program.signatures[signature];
  const signatures = Object.entries(program.signatures).map(([name, { schedule }]) => ({
    name,
    nodes: schedule.length,
    flops: nodesFlops(schedule),
  }));
  if (signature === undefined) return { text: printProgram(program, options), signatures };
  return { text: chosen && printSignature(signature, chosen, options), signatures };
}
