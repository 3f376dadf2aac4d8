/** What a tooltip says; the same facts are said elsewhere in words. */

export interface TooltipContent {
  readonly title: string;
  readonly subtitle?: string;
  readonly facts: readonly (readonly [name: string, value: string])[];
}
