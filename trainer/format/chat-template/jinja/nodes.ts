/** The syntax tree of a template. */

export interface Argument {
  readonly name: string | undefined;
  readonly value: Expression;
  /** `*list` or `**dict`. */
  readonly spread: '' | '*' | '**';
}

export type Comparison = '==' | '!=' | '<' | '>' | '<=' | '>=' | 'in' | 'not in';
export type BinaryOperator = '+' | '-' | '*' | '/' | '//' | '%' | '**';

export type Expression =
  | { readonly type: 'constant'; readonly value: string | number | bigint | boolean | null }
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'list' | 'tuple'; readonly items: readonly Expression[] }
  | { readonly type: 'dict'; readonly entries: ReadonlyArray<readonly [Expression, Expression]> }
  | { readonly type: 'attribute'; readonly of: Expression; readonly name: string }
  | { readonly type: 'item'; readonly of: Expression; readonly key: Expression }
  | {
      readonly type: 'slice';
      readonly of: Expression;
      readonly parts: readonly [Expression | undefined, Expression | undefined, Expression | undefined];
    }
  | { readonly type: 'call'; readonly callee: Expression; readonly args: readonly Argument[] }
  | { readonly type: 'filter'; readonly of: Expression | undefined; readonly name: string; readonly args: readonly Argument[] }
  | { readonly type: 'test'; readonly of: Expression; readonly name: string; readonly args: readonly Argument[] }
  | { readonly type: 'not' | 'negative' | 'positive'; readonly of: Expression }
  | { readonly type: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly type: 'binary'; readonly operator: BinaryOperator; readonly left: Expression; readonly right: Expression }
  | { readonly type: 'compare'; readonly first: Expression; readonly rest: ReadonlyArray<readonly [Comparison, Expression]> }
  | { readonly type: 'concat'; readonly parts: readonly Expression[] }
  | { readonly type: 'conditional'; readonly test: Expression; readonly value: Expression; readonly otherwise: Expression | undefined };

export type Target =
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'field'; readonly of: string; readonly name: string }
  | { readonly type: 'tuple'; readonly items: readonly Target[] };

export interface Parameter {
  readonly name: string;
  readonly byDefault: Expression | undefined;
}

export type Statement =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'output'; readonly value: Expression }
  | { readonly type: 'if'; readonly branches: ReadonlyArray<readonly [Expression, Body]>; readonly otherwise: Body }
  | {
      readonly type: 'for';
      readonly target: Target;
      readonly iterable: Expression;
      readonly filter: Expression | undefined;
      readonly recursive: boolean;
      readonly body: Body;
      readonly otherwise: Body;
    }
  | { readonly type: 'break' | 'continue' }
  | { readonly type: 'set'; readonly target: Target; readonly value: Expression }
  | { readonly type: 'set-block'; readonly target: Target; readonly filter: Expression | undefined; readonly body: Body }
  | { readonly type: 'with'; readonly bindings: ReadonlyArray<readonly [Target, Expression]>; readonly body: Body }
  | { readonly type: 'filter-block'; readonly filter: Expression; readonly body: Body }
  | { readonly type: 'macro'; readonly name: string; readonly parameters: readonly Parameter[]; readonly body: Body }
  | { readonly type: 'call-block'; readonly call: Expression; readonly parameters: readonly Parameter[]; readonly body: Body }
  | { readonly type: 'generation'; readonly body: Body };

export type Body = readonly Statement[];
