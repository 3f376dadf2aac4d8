/** The content of a tooltip; screen readers get the same facts as text. */

export interface TooltipContent {
  readonly title: string;
  readonly subtitle?: string;
  readonly facts: readonly (readonly [name: string, value: string])[];
}
