/** The options of selects and switches, and the steps of sliders. Pure. */

export interface Option<Value extends string = string> {
  readonly value: Value;
  readonly label: string;
  /** A sentence for the tooltip. */
  readonly title?: string;
  /** Options with the same group name are listed under it. */
  readonly group?: string;
  readonly isDisabled?: boolean;
}

/** The range of a slider on a logarithmic scale, because people choose among small budgets; integers or shares. */
export interface Range {
  readonly least: number;
  readonly most: number;
  readonly isWhole: boolean;
}

/** Number of slider positions. */
export const STEPS = 1000;

export const valueAtStep = (step: number, { least, most, isWhole }: Range): number => {
  const value = least * (most / least) ** (step / STEPS);
  return isWhole ? Math.round(value) : Number(value.toPrecision(3));
};
export const stepOfValue = (value: number, { least, most }: Range): number =>
  most > least ? Math.round((STEPS * Math.log(Math.min(Math.max(value, least), most) / least)) / Math.log(most / least)) : 0;
