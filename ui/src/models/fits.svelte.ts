// Asks, for each model, whether it would fit now. One question at a time: the first about a model starts a worker.

import { plan } from "../api/admin";
import { problemOf, type Problem } from "../api/failure";
import type { Placement } from "../generated/admin";

export type Fit = { placements: Placement[] } | { problem: Problem };

export class Fits {
  #known = $state.raw<Record<string, Fit>>({});
  #round = 0;

  of(model: string): Fit | null {
    return this.#known[model] ?? null;
  }

  /** Asks about all of them; whoever asked before is not waited for any more. */
  async ask(models: readonly string[]): Promise<void> {
    this.#round += 1;
    const round = this.#round;
    for (const model of models) {
      const fit = await this.#fit(model);
      if (round !== this.#round) return;
      this.#known = { ...this.#known, [model]: fit };
    }
  }

  async #fit(model: string): Promise<Fit> {
    try {
      return { placements: await plan({ model, sharding: "auto" }) };
    } catch (error) {
      return { problem: problemOf(error) };
    }
  }
}
