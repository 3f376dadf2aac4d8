/** Prints a program as text: every step in execution order, with shapes, cost and, on request, live bytes. */

import type { Load, RowProgram, Store } from './fusion/row-program.ts';
import type { Step } from './fusion/step.ts';
import type { Node } from './graph.ts';
import { type BufferRules, COMPILED_BUFFERS, liveness, nodesFlops } from './liveness.ts';
import { isOnHost, type Program, type Signature } from './program.ts';
import { showSpec } from './types.ts';

export interface PrintOptions {
  /** Returns the steps of a signature: `singleSteps`, or those of a planner of fused steps. */
  readonly steps: (signature: Signature) => readonly Step[];
  /** True to show a column with the bytes alive while each step runs. */
  readonly memory?: boolean;
  /** How the engine holds tensors. */
  readonly rules?: BufferRules;
}

/** Longer lists in attributes are truncated. */
const MAX_ENTRIES = 6;

/** Prints every variable, then every signature. The output is deterministic: the same program gives the same text. */
export function printProgram(program: Program, options: PrintOptions): string {
  const variables = program.variables.map(variable => {
    const place = program.places?.get(variable.name);
    return `variable ${variable.name} ${showSpec(variable)}${place === undefined ? '' : ` on ${isOnHost(place) ? 'host' : place}`}`;
  });
  const signatures = Object.entries(program.signatures).map(([name, signature]) => printSignature(name, signature, options));
  return [...variables, ...signatures].join('\n');
}

/** Prints one signature: its feeds, its steps and its outputs. */
export function printSignature(name: string, signature: Signature, { steps: stepsOf, memory = false, rules }: PrintOptions): string {
  const steps = stepsOf(signature);
  const { bytes, peakAt, peakBytes } = liveness(signature, steps, rules ?? COMPILED_BUFFERS);
  const flops = nodesFlops(steps.flatMap(({ nodes }) => nodes));
  const fused = steps.filter(({ program }) => program).length;
  const head = `signature ${name}: ${steps.length} steps${fused > 0 ? ` (${fused} fused)` : ''}, ${(flops / 1e9).toFixed(3)} GFLOP, ${mebibytes(peakBytes)} MiB at the peak`;
  const lines = steps.flatMap((step, i) => {
    const alive = memory ? `${mebibytes(bytes[i] ?? 0).padStart(10)}${i === peakAt ? '*' : ' '}` : '';
    return printStep(step).map((line, j) => `${memory && j > 0 ? ' '.repeat(11) : alive}  ${line}`);
  });
  const outputs = Object.entries(signature.outputs).map(([output, node]) => `  return ${output} = %${node.id}`);
  return [head, ...lines, ...outputs].join('\n');
}

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(3);

function printStep({ nodes, reads, program, unpacking, fewRows }: Step): string[] {
  const given = nodes.map(node => `%${node.id}`).join(', ');
  const read = reads.map(node => `%${node.id}`).join(', ');
  if (unpacking) return [`${given} = unpacked(${read}) in blocks of ${unpacking.block}`, ...nodes.map(node => `  ${printNode(node)}`)];
  if (fewRows) return [`${given} = few rows(${read})`, ...nodes.map(node => `  ${printNode(node)}`)];
  if (!program) return nodes.map(printNode);
  const rows = program.lead.reduce((n, d) => n * d, 1);
  return [
    `${given} = fused(${read}) over ${rows} rows × ${program.columns} columns`,
    ...nodes.map(node => `  ${printNode(node)}`),
    ...printRowProgram(program).map(line => `  | ${line}`),
  ];
}

function printNode(node: Node): string {
  const inputs = node.inputs.map(({ id }) => `%${id}`);
  const attributes = Object.entries(node.attrs).map(([name, value]) => `${name}=${showValue(value)}`);
  const marks = [node.block >= 0 ? `block ${node.block}` : '', node.recomputed ? 'recomputed' : '', node.onHost ? 'on the host' : ''];
  const notes = marks.filter(Boolean).join(', ');
  return `%${node.id} = ${node.op}(${[...inputs, ...attributes].join(', ')}) ${showSpec(node)}${notes === '' ? '' : ` # ${notes}`}`;
}

const isList = (value: unknown): value is Iterable<unknown> => value instanceof Object && Symbol.iterator in value;

function showValue(value: unknown): string {
  if (isList(value)) {
    const entries: unknown[] = Array.from(value);
    const shown = entries.slice(0, MAX_ENTRIES).map(showValue).join(' ');
    return `[${shown}${entries.length > MAX_ENTRIES ? ` … ${entries.length}` : ''}]`;
  }
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}

function printRowProgram({ constants, loads, instructions, stores }: RowProgram): string[] {
  return [
    ...constants.map(({ register, value }) => `r${register} = ${value}`),
    ...loads.map(load => `r${load.register} = load ${showAccess(load)}${showWindows(load)}`),
    ...instructions.map(({ name, target, operands }) => `r${target} = ${name} ${operands.map(register => `r${register}`).join(' ')}`),
    ...stores.map(store => `store r${store.register} to ${showAccess(store)}`),
  ];
}

const showAccess = ({ node, offset, lead, column }: Load | Store): string =>
  `%${node.id}[${[...(offset === 0 ? [] : [String(offset)]), ...lead.map((stride, i) => `${stride}·l${i}`), `${column}·c`].join(' + ')}]`;

const showWindows = ({ windows, fill }: Load): string =>
  windows.map(({ axis, low, high }) => ` where ${low} ≤ l${axis} < ${high}, else ${fill}`).join('');
