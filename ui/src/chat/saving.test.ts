import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Refused, type Problem } from "../api/failure";
import { begun, DEFAULT_SETTINGS, type Conversation } from "./conversation";
import { Saving } from "./saving";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const version = (changed: number): Conversation => begun("c", "sprout", DEFAULT_SETTINGS, changed);

/** A slow place that takes what comes until it is told to refuse. */
class Place {
  took: number[] = [];
  told: (Problem | null)[] = [];
  refusal: Error | null = null;
  readonly saving = new Saving((conversation) => this.#take(conversation), (problem) => this.told.push(problem));

  async #take({ changed }: Conversation): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (this.refusal) throw this.refusal;
    this.took.push(changed);
  }
}

describe("saving", () => {
  it("is at once when it is asked for", async () => {
    const place = new Place();
    place.saving.now(version(1));
    await vi.advanceTimersByTimeAsync(100);
    expect([place.took, place.told]).toEqual([[1], [null]]);
  });

  it("takes the latest, one save at a time", async () => {
    const place = new Place();
    for (const changed of [1, 2, 3]) place.saving.now(version(changed));
    await vi.advanceTimersByTimeAsync(1000);
    expect(place.took).toEqual([1, 3]);
    place.saving.now(version(4));
    await vi.advanceTimersByTimeAsync(50);
    place.saving.now(version(5));
    await vi.advanceTimersByTimeAsync(1000);
    expect(place.took.slice(-2)).toEqual([4, 5]);
  });

  it("of a growing answer is rare", async () => {
    const place = new Place();
    for (let piece = 0; piece < 200; piece += 1) {
      place.saving.soon(version(piece));
      await vi.advanceTimersByTimeAsync(50);
    }
    expect(place.took).toHaveLength(3);
    place.saving.now(version(1000));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(place.took.slice(3)).toEqual([1000]);
  });

  it("that fails is told, loses nothing and is tried again", async () => {
    const place = new Place();
    place.refusal = new TypeError("Failed to fetch");
    place.saving.now(version(1));
    await vi.advanceTimersByTimeAsync(100);
    expect(place.told.at(-1)?.message).toBe("The node did not answer.");
    place.refusal = null;
    await vi.advanceTimersByTimeAsync(11_000);
    expect([place.took, place.told.at(-1)]).toEqual([[1], null]);
  });

  it("that is refused for good is not tried again until something changes", async () => {
    const place = new Place();
    place.refusal = new Refused({ message: "too large", hint: null }, 413);
    place.saving.now(version(1));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(place.told).toHaveLength(1);
    place.refusal = null;
    place.saving.now(version(2));
    await vi.advanceTimersByTimeAsync(100);
    expect([place.took, place.told.at(-1)]).toEqual([[2], null]);
  });

  it("that ended waits for what is on its way and begins nothing", async () => {
    const place = new Place();
    place.saving.now(version(1));
    place.saving.soon(version(2));
    const ended = place.saving.end();
    place.saving.now(version(3));
    await vi.advanceTimersByTimeAsync(60_000);
    await ended;
    expect(place.took).toEqual([1]);
  });
});
