/** Frames that a client may send, and ten thousand ways to corrupt them; the same seed gives the same frames. */
import { elementAt, isRecord } from '../../../trainer/narrow.ts';
import { createRandom } from '../../../trainer/random.ts';

const ODD_IDS = [0, -1, 1.5, 1e308, 2 ** 53, '', 'x'.repeat(300), '__proto__', '\u0000', null, true, [], {}, [1], { id: 1 }];
const ODD_VALUES = [
  null,
  true,
  0,
  -1,
  1e308,
  '',
  'x',
  '\ud800',
  'x'.repeat(5000),
  [],
  {},
  [[]],
  [null],
  { id: null },
  { __proto__: null, a: 1 },
];
const METHODS = [
  '$/cancelRequest',
  '$/progress',
  '$/setTrace',
  '$/logTrace',
  '$/',
  '',
  'initialized',
  'initialize',
  '__proto__',
  'constructor',
  'x/y',
];
/** Frames as text that JSON.stringify would not write. */
const RAW = [
  ...[
    'null',
    '[]',
    '{}',
    '""',
    '1',
    'true',
    '[[[[',
    '{"jsonrpc":"2.0"',
    '\u0000',
    '"\\ud800"',
    '{"jsonrpc":"2.0","method":"$/cancelRequest"}',
  ],
  ...['null', '[]', '{}', '1', '"x"', '{"id":null}', '{"id":{}}', '{"id":[]}', '[null]', '[{"id":1}]'].map(
    params => `{"jsonrpc":"2.0","method":"$/cancelRequest","params":${params}}`,
  ),
  ...['null', '[]', '{}', '{"token":null}', '[1,2]', '[null,null]'].map(
    params => `{"jsonrpc":"2.0","method":"$/progress","params":${params}}`,
  ),
  '{"jsonrpc":"2.0","id":1,"id":2,"method":"jobs/list","method":"jobs/list"}',
  '{"jsonrpc":"2.0","id":1e999,"method":"jobs/list"}',
  '{"jsonrpc":"2.0","id":1,"method":"jobs/list","params":{"__proto__":{"id":1}}}',
  '{"jsonrpc":"2.0","id":null,"result":1}',
  '{"jsonrpc":"2.0","id":1,"error":null}',
  '{"jsonrpc":"2.0","id":1,"error":"no"}',
  '{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":"x"}}',
  `{"jsonrpc":"2.0","id":1,"method":"estimate","params":${'['.repeat(20_000)}${']'.repeat(20_000)}}`,
  `{"jsonrpc":"2.0","id":1,"method":"estimate","params":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`,
  `{"jsonrpc":"2.0","id":1,"method":"${'m'.repeat(100_000)}"}`,
  `{"jsonrpc":"2.0","id":"${'i'.repeat(100_000)}","method":"jobs/list"}`,
];

/** True for an object or a list, on which keys can be set. */
const isNode = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** @param valid frames that a client may send: objects with `jsonrpc`, `method` or `result` */
export function* mutatedFrames(valid: readonly object[], count: number, seed: number): Generator<string> {
  const { below } = createRandom(seed);
  const pick = <T>(all: readonly T[]): T => structuredClone(elementAt(all, below(all.length)));
  const nodesOf = (node: unknown): Record<string, unknown>[] => (isNode(node) ? [node, ...Object.values(node).flatMap(nodesOf)] : []);

  const changeTree = (frame: Record<string, unknown>): unknown => {
    const nodes = nodesOf(frame);
    const node = elementAt(nodes, below(nodes.length));
    const key = pick(Object.keys(node).length > 0 ? Object.keys(node) : ['x']);
    switch (below(7)) {
      case 0:
        node[key] = pick(ODD_VALUES);
        break;
      case 1:
        delete node[key];
        break;
      case 2:
        frame.id = pick(ODD_IDS);
        break;
      case 3:
        frame.method = pick(METHODS);
        break;
      case 4:
        frame.params = pick(ODD_VALUES);
        break;
      case 5:
        node[pick(['x', 'id', 'token', '__proto__', 'constructor', 'toString', 'method'])] = pick(ODD_VALUES);
        break;
      default:
        return pick<unknown>([[frame], [frame, frame], [], { ...frame, jsonrpc: pick(['1.0', 2, null]) }]);
    }
    return frame;
  };

  const changeText = (text: string): string => {
    const at = below(text.length + 1);
    switch (below(3)) {
      case 0:
        return text.slice(0, at);
      case 1:
        return text.slice(0, at) + pick(['"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', '\u0000', '\ud800', '😀']) + text.slice(at);
      default:
        return text.slice(0, at) + text.slice(at + 1 + below(10));
    }
  };

  for (let i = 0; i < count; i++) {
    if (below(20) === 0) {
      yield pick(RAW);
      continue;
    }
    let frame: unknown = pick(valid);
    for (let times = below(3); times >= 0; times--) if (isRecord(frame)) frame = changeTree(frame);
    const text = JSON.stringify(frame);
    yield below(4) === 0 ? changeText(text) : text;
  }
}
