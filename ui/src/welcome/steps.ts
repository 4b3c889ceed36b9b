// The first run's steps and when they are shown. Pure.

import type { Settings } from "../generated/admin";

export const STEPS = ["what", "network", "try"] as const;

export type Step = (typeof STEPS)[number];

/** Only to who opens the window as such: a link to a page leads to that page. */
export function isBare(hash: string): boolean {
  return hash === "" || hash === "#" || hash === "#/";
}

/** Whether somebody has yet to be told what this is. */
export function isWanted(hash: string, settings: Settings | null): boolean {
  return isBare(hash) && settings?.welcomed === false;
}

export function numberOf(step: Step): number {
  return STEPS.indexOf(step) + 1;
}

/** `null` before the first and after the last. */
export function beside(step: Step, by: 1 | -1): Step | null {
  return STEPS[STEPS.indexOf(step) + by] ?? null;
}
