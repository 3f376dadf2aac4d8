/** Tests that floats of JSON which are whole numbers stay floats where chat templates write them, and nowhere else. */
import { describe, expect, test } from 'vitest';
import { chatWithFloats, parseWithFloats } from '../../../../trainer/format/chat-template/float-json.ts';

describe('parseWithFloats', () => {
  test.each(['1.0', '-0.0', '1e5', '1E+5', '2.50e1', '100.000', '0e0'])('%s is a float', text => {
    const value = parseWithFloats(`{"a": [${text}]}`);
    expect(value).toEqual({ a: [Object(Number(text))] });
    expect(JSON.stringify(value)).toBe(JSON.stringify({ a: [Number(text)] }));
    expect(structuredClone(value)).toEqual(value);
  });

  test.each(['1', '-0', '10', '1.5', '1e-5', '2.55e1', '12345678901234567890', '"1.0"', '"\\\\"', '"a\\"1.0"', '"\\u0031.0 1e5"'])(
    '%s stays as JSON.parse reads it, next to a float',
    text => {
      expect(parseWithFloats(`{"${text.replaceAll(/["\\]/g, '')}": ${text}, "f": 1.0}`)).toEqual({
        [text.replaceAll(/["\\]/g, '')]: JSON.parse(text),
        f: Object(1),
      });
    },
  );

  test('what JSON.parse refuses is refused', () => {
    for (const text of ['', '{"a": 1.0', '{"a": 01.0}', '[1.0,]', '"1.0']) expect(() => parseWithFloats(text)).toThrow(SyntaxError);
  });

  test('keys of the prototype are plain keys', () => {
    const value = parseWithFloats('{"__proto__": {"x": 1.0}, "f": 2.0}');
    expect(JSON.stringify(value)).toBe('{"__proto__":{"x":1},"f":2}');
    expect(Reflect.get({}, 'x')).toBeUndefined();
  });

  test('a long text costs no more than its length', () => {
    const text = `["${'\\"'.repeat(10 ** 6)}", 1.0]`;
    expect(parseWithFloats(text)).toEqual(['"'.repeat(10 ** 6), Object(1)]);
  });
});

test('a sample keeps floats only where templates write them: labels and weights are numbers', () => {
  const text =
    '{"label": 1.0, "scores": [2.0], "messages": [{"role": "user", "weight": 1.0, "tool_calls": [{"x": 1.0}]}], "tools": [{"y": 2e0}]}';
  expect(chatWithFloats(text, JSON.parse(text))).toEqual({
    label: 1,
    scores: [2],
    messages: [{ role: 'user', weight: 1, tool_calls: [{ x: Object(1) }] }],
    tools: [{ y: Object(2) }],
  });
});
