/** Memoizes builds of fused programs: the blocks of a model are identical, so each one reuses the result of the first. */
import { elementAt, required, valueFor } from '../../narrow.ts';
import type { Node } from '../graph.ts';
import { isOp } from '../node-store.ts';
import { elementCount } from '../types.ts';
import { type BuildResult, buildFused, type FusedParams } from './build.ts';
import type { RowProgram } from './row-program.ts';

/** The result of a build. */
interface Outcome {
  /** The nodes that the build met, by number. */
  readonly nodes: readonly Node[];
  readonly found: BuildResult;
}

/** The number of the node that the build asks about next, and where each answer leads; or the outcome at the end of the branch. */
interface Branch {
  asks?: number;
  outcome?: Outcome;
  readonly answers: Map<string, Branch>;
}

const READ = 'read';

/**
 * A build depends only on its roots, the answers to its questions, and the forms of the nodes that it computes. The memo stores questions
 * and answers as a tree: a build that follows the same branch, over other nodes of the same forms, has the same result.
 */
export class BuildMemo {
  private readonly start: Branch = { answers: new Map() };
  private readonly forms = new WeakMap<Node, string>();

  /** Returns the same result as `buildFused`. */
  build({ roots, isRead }: FusedParams): BuildResult {
    const numbers = new Numbers(roots, node => this.formOf(node));
    let [branch, answer] = [this.start, roots.map(root => numbers.computed(root)).join('|')];
    for (;;) {
      const next = branch.answers.get(answer);
      if (!next) break;
      if (next.outcome) return replay(next.outcome, numbers.nodes);
      const node = elementAt(numbers.nodes, required(next.asks, 'the question of a branch'));
      [branch, answer] = [next, numbers.answer(node, isRead(node))];
    }
    const grow = (grown: Branch): void => {
      branch.answers.set(answer, grown);
      branch = grown;
    };
    const asked = (node: Node): boolean => {
      const known = numbers.answers.get(node);
      if (known !== undefined) return known;
      grow({ asks: numbers.of(node), answers: new Map() });
      const isAnswer = isRead(node);
      answer = numbers.answer(node, isAnswer);
      return isAnswer;
    };
    const found = buildFused({ roots, isRead: asked });
    grow({ outcome: { nodes: numbers.nodes, found }, answers: new Map() });
    return found;
  }

  /** Returns as text everything that a build reads from a node that it computes, and from that node's inputs. */
  private formOf(node: Node): string {
    const known = this.forms.get(node);
    if (known !== undefined) return known;
    const made = `${node.op} ${specOf(node)} ${attributesOf(node)} ${node.inputs.map(specOf).join()}`;
    this.forms.set(node, made);
    return made;
  }
}

/** Describes a tensor. The value of a one-element constant is part of the program, so it is included. */
const specOf = (node: Node): string =>
  `${node.dtype}[${node.shape}]${isOp(node, 'constant') && elementCount(node.shape) === 1 ? `=${textOf(node.attrs.value[0])}` : ''}`;

const attributesOf = ({ attrs }: Node): string =>
  Object.entries(attrs)
    .map(([name, value]) => `${name}=${textOf(value)}`)
    .join(' ');

const textOf = (value: unknown): string => (Object.is(value, -0) ? '-0' : String(value));

/** The nodes that a build meets, numbered in that order. */
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

  /** Describes a computed node as text: its form and the numbers of its inputs. */
  computed(node: Node): string {
    return `${this.formOf(node)} ${node.inputs.map(input => this.of(input)).join()}`;
  }

  answer(node: Node, isRead: boolean): string {
    this.answers.set(node, isRead);
    return isRead ? READ : this.computed(node);
  }
}

/** Returns the same result over other nodes with the same numbers. */
function replay({ nodes, found }: Outcome, others: readonly Node[]): BuildResult {
  const counterparts = new Map(nodes.map((node, i) => [node, elementAt(others, i)]));
  const to = (node: Node): Node => valueFor(counterparts, node);
  if (found.blockedBy) return { blockedBy: to(found.blockedBy) };
  return { fused: { program: over(found.fused.program, to), reads: found.fused.reads.map(to) } };
}

const over = (program: RowProgram, to: (node: Node) => Node): RowProgram => ({
  ...program,
  loads: program.loads.map(load => ({ ...load, node: to(load.node) })),
  stores: program.stores.map(store => ({ ...store, node: to(store.node) })),
  takesOver: new Map([...program.takesOver].map(([node, inputs]) => [to(node), inputs.map(to)])),
});
