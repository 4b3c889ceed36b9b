import { expect, it } from "vitest";
import type { Download } from "../generated/admin";
import { coming, doneKey, problemOfDownload, progressText, repositoryIn, shareOf, stepOf, timeText, waitingText } from "./downloads";

const download = (some: Partial<Download> = {}): Download => ({
  model: "ada/tiny",
  revision: "main",
  commit: "c0ffee",
  state: "running",
  reason: null,
  error: null,
  bytes_done: 2 ** 30,
  bytes_total: 2 ** 32,
  bytes_per_s: 90 * 2 ** 20,
  seconds_left: 35,
  bytes_from_members: 0,
  ...some,
});

it("how far a download is", () => {
  expect(progressText(download())).toBe("1 GiB of 4 GiB · 90 MiB/s · 35 seconds left");
  expect(shareOf(download())).toBe(0.25);
  expect(progressText(download({ bytes_per_s: null, seconds_left: null }))).toBe("1 GiB of 4 GiB");
  const lent = download({ bytes_per_s: null, seconds_left: null, bytes_from_members: 2 ** 29 });
  expect(progressText(lent)).toBe("1 GiB of 4 GiB · 512 MiB from the cluster");
  const asking = download({ bytes_done: 0, bytes_total: 0 });
  expect([progressText(asking), shareOf(asking)]).toEqual(["", null]);
  expect([1, 59, 89, 3600, 7260].map(timeText)).toEqual(["1 second", "59 seconds", "1 minute", "60 minutes", "2 hours 1 minutes"]);
});

it("why it does not go on", () => {
  expect(waitingText(download({ state: "waiting" }))).toMatch(/before it/);
  expect(waitingText(download({ state: "waiting", reason: "the older one is open" }))).toBe("the older one is open");
  expect(waitingText(download({ state: "retrying", reason: "it answers 500" }))).toBe("it answers 500");
  expect(waitingText(download())).toBeNull();
  const failed = download({ state: "failed", error: { code: "timed_out", message: "it is away", hint: "later" } });
  expect(problemOfDownload(failed)).toEqual({ message: "it is away", hint: "later" });
  const states = ["waiting", "running", "retrying", "verifying", "paused", "failed", "done"] as const;
  expect(states.map((state) => stepOf(download({ state })))).toEqual(["pause", "pause", "pause", "pause", "resume", "resume", null]);
});

it("a model that has come is no download any more", () => {
  const list = [download(), download({ model: "ada/here", state: "done" })];
  expect(coming(list).map(({ model }) => model)).toEqual(["ada/tiny"]);
  expect(doneKey(list)).toBe("ada/here c0ffee");
});

it("a repository is typed, or pasted as its page's address", () => {
  const typed = ["ada/tiny", " ada/tiny@v2 ", "https://huggingface.co/ada/tiny", "https://huggingface.co/ada/tiny/tree/v2", "hf.co/ada/tiny/"];
  expect(typed.map(repositoryIn)).toEqual(["ada/tiny", "ada/tiny@v2", "ada/tiny", "ada/tiny@v2", "ada/tiny"]);
  expect(["", "tiny", "ada/", "/tiny", "a/b/c", "a b/c"].map(repositoryIn)).toEqual([null, null, null, null, null, null]);
});
