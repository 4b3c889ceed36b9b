// The settings as this window knows them, and what came of changing them. One for the whole window.

import { isTauri } from "@tauri-apps/api/core";
import { change, resetSettings, settings as ask, type Change } from "../api/admin";
import { problemOf, type Problem } from "../api/failure";
import type { Settings } from "../generated/admin";
import { movedBy, type Moved } from "./words";

class Known {
  settings = $state.raw<Settings | null>(null);
  /** The settings could not be read: why. */
  unread = $state.raw<Problem | null>(null);
  /** The page's address is no longer the node's. */
  moved = $state.raw<Moved | null>(null);

  async read(): Promise<void> {
    try {
      this.settings = await ask();
      this.unread = null;
    } catch (error) {
      this.unread = problemOf(error);
    }
  }

  /** Changes some; what was in the way, if anything. */
  change(some: Change): Promise<Problem | null> {
    return this.#take(() => change(some));
  }

  reset(): Promise<Problem | null> {
    return this.#take(resetSettings);
  }

  async #take(what: () => Promise<Settings>): Promise<Problem | null> {
    const before = this.settings;
    try {
      this.settings = await what();
    } catch (error) {
      return problemOf(error);
    }
    const moved = before && !isTauri() ? movedBy(before, this.settings, location.host) : null;
    if (moved) this.moved = moved;
    return null;
  }
}

export const known = new Known();
