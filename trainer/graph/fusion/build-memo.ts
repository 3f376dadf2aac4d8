/** Programs that were built before are not built again: a model has many alike blocks, and each is fused as the one before it. */
import type { Node } from '../graph.ts';
import { elementCount } from '../types.ts';
import { buildFused, type Fused, type FusedParams } from './build.ts';
import { MustBeRead } from './must-be-read.ts';
import type { RowProgram } from './row-program.ts';

/** What a build came to. */
interface Outcome {
  /** The nodes that it came across, by number. */
  readonly nodes: readonly Node[];
  readonly found: Fused | MustBeRead;
}

/** The node, by number, that is asked about next, and where each answer leads; or the end. */
interface Place {
  asks?: number;
  outcome?: Outcome;
  readonly answers: Map<string, Place>;
}

const READ = 'read';

/**
 * A build depends on nothing but its roots, the answers to its questions, and the forms of the nodes that it computes. So what it asked and
 * was answered is kept as a tree; another build that walks the same way, over other nodes of the same forms, would come to the same end.
 */
export class BuildMemo {
  private readonly start: Place = { answers: new Map() };
  private readonly forms = new WeakMap<Node, string>();

  /** As `buildFused`, and gives back what that throws. */
  build({ roots, isRead }: FusedParams): Fused | MustBeRead {
    const numbers = new Numbers(roots, node => this.formOf(node));
    let [place, answer] = [this.start, roots.map(root => numbers.computed(root)).join('|')];
    for (;;) {
      const next = place.answers.get(answer);
      if (!next) break;
      if (next.outcome) return replay(next.outcome, numbers.nodes);
      const node = numbers.nodes[next.asks as number] as Node;
      [place, answer] = [next, numbers.answer(node, isRead(node))];
    }
    const grow = (grown: Place): void => {
      place.answers.set(answer, grown);
      place = grown;
    };
    const asked = (node: Node): boolean => {
      const known = numbers.answers.get(node);
      if (known !== undefined) return known;
      grow({ asks: numbers.of(node), answers: new Map() });
      const isAnswer = isRead(node);
      answer = numbers.answer(node, isAnswer);
      return isAnswer;
    };
    const found = tryToBuild({ roots, isRead: asked });
    grow({ outcome: { nodes: numbers.nodes, found }, answers: new Map() });
    return found;
  }

  /** All that a build looks at in a node that it computes, and in what that is made of. */
  private formOf(node: Node): string {
    const known = this.forms.get(node);
    if (known !== undefined) return known;
    const made = `${node.op} ${specOf(node)} ${attributesOf(node)} ${node.inputs.map(specOf).join()}`;
    this.forms.set(node, made);
    return made;
  }
}

function tryToBuild(params: FusedParams): Fused | MustBeRead {
  try {
    return buildFused(params);
  } catch (error) {
    if (error instanceof MustBeRead) return error;
    throw error;
  }
}

/** A single number is part of the program. */
const specOf = ({ op, dtype, shape, attrs }: Node): string =>
  `${dtype}[${shape}]${op === 'constant' && elementCount(shape) === 1 ? `=${textOf((attrs as Node<'constant'>['attrs']).value[0])}` : ''}`;

const attributesOf = ({ attrs }: Node): string =>
  Object.entries(attrs)
    .map(([name, value]) => `${name}=${textOf(value)}`)
    .join(' ');

const textOf = (value: unknown): string => (Object.is(value, -0) ? '-0' : String(value));

/** The nodes that a build comes across, numbered as they are met. */
class Numbers {
  readonly nodes: Node[] = [];
  readonly answers = new Map<Node, boolean>();
  private readonly numbers = new Map<Node, number>();
  private readonly formOf: (node: Node) => string;

  constructor(roots: readonly Node[], formOf: (node: Node) => string) {
    this.formOf = formOf;
    for (const root of roots) this.of(root);
  }

  of(node: Node): number {
    const known = this.numbers.get(node);
    if (known !== undefined) return known;
    const made = this.nodes.push(node) - 1;
    this.numbers.set(node, made);
    return made;
  }

  /** What there is to know of a node that is computed: its form, and which nodes it is made of. */
  computed(node: Node): string {
    return `${this.formOf(node)} ${node.inputs.map(input => this.of(input)).join()}`;
  }

  answer(node: Node, isRead: boolean): string {
    this.answers.set(node, isRead);
    return isRead ? READ : this.computed(node);
  }
}

/** The same over other nodes of the same numbers. */
function replay({ nodes, found }: Outcome, others: readonly Node[]): Fused | MustBeRead {
  const places = new Map(nodes.map((node, i) => [node, others[i] as Node]));
  const to = (node: Node): Node => places.get(node) as Node;
  if (found instanceof MustBeRead) return new MustBeRead(to(found.node));
  return { program: over(found.program, to), reads: found.reads.map(to) };
}

const over = (program: RowProgram, to: (node: Node) => Node): RowProgram => ({
  ...program,
  loads: program.loads.map(load => ({ ...load, node: to(load.node) })),
  stores: program.stores.map(store => ({ ...store, node: to(store.node) })),
  takesOver: new Map([...program.takesOver].map(([node, inputs]) => [to(node), inputs.map(to)])),
});
