import { describe, expect, it } from "vitest";
import type { Settings } from "../generated/admin";
import { folderText, foldersChanged, foldersWith, foldersWithout, lentBytesOf, lentText, minutesOf, movedBy, portOf, speedOf, speedText } from "./words";

function settings(changes: Partial<Settings> = {}): Settings {
  return {
    name: "oak",
    join: true,
    peer_address: null,
    api: true,
    api_port: 3775,
    api_address: "127.0.0.1:3775",
    api_network: false,
    api_network_addresses: [],
    ollama_port: false,
    ollama_address: null,
    lend_memory_bytes_max: null,
    idle_minutes: 30,
    download_bytes_per_s_max: 0,
    allowed_origins: [],
    model_folders: [],
    welcomed: true,
    ...changes,
  };
}

describe("what is typed", () => {
  it.each([
    ["3775", 3775],
    ["0", 0],
    ["65535", 65_535],
    ["65536", null],
    ["", null],
    ["-1", null],
    ["1e3", null],
  ])("port %j is %j", (text, port) => {
    expect(portOf(text)).toBe(port);
  });

  it.each([
    ["16", 2 ** 34],
    ["0.5", 2 ** 29],
    ["0", 0],
    ["", null],
    ["-1", null],
  ])("%j GB are %j bytes", (text, bytes) => {
    expect(lentBytesOf(text)).toBe(bytes);
  });

  it("comes back as it was", () => {
    expect(lentText(settings())).toBe("");
    for (const text of ["16", "0.5", "0"]) {
      expect(lentText(settings({ lend_memory_bytes_max: lentBytesOf(text) }))).toBe(text);
    }
    expect(["", "0", "-1", "12.5"].map((text) => speedText(settings({ download_bytes_per_s_max: speedOf(text) })))).toEqual(["", "", "", "12.5"]);
    expect(["30", "0", "", "-3", "2.5"].map(minutesOf)).toEqual([30, 0, 0, 0, 2]);
  });
});

describe("the page", () => {
  const at = (port: number | null) => settings({ api_address: port === null ? null : `127.0.0.1:${port}` });

  it("moves with the port it came from, under the name it came from", () => {
    expect(movedBy(at(3775), at(4000), "localhost:3775")).toEqual({ kind: "moved", host: "localhost:4000" });
    expect(movedBy(at(3775), at(4000), "[::1]:3775")).toEqual({ kind: "moved", host: "[::1]:4000" });
    expect(movedBy(at(3775), at(null), "localhost:3775")).toEqual({ kind: "closed" });
  });

  it("stays where it is otherwise", () => {
    expect(movedBy(at(3775), at(3775), "localhost:3775")).toBeNull();
    expect(movedBy(at(3775), at(4000), "localhost:5173")).toBeNull();
    expect(movedBy(at(null), at(4000), "tauri.localhost")).toBeNull();
  });
});

describe("folders", () => {
  const [a, b] = [
    { path: "/a", writable: true },
    { path: "/b c", writable: false },
  ];
  const some = settings({ model_folders: [{ ...a, available: true, free_bytes: 5e9 }, { ...b, available: false, free_bytes: null }] });
  const read = (path: string) => ({ path, writable: false });

  it("are whole paths, each once", () => {
    expect(foldersWith(some, " /d/ ")).toEqual([a, b, read("/d")]);
    expect(foldersWith(some, "C:\\models")).toEqual([a, b, read("C:\\models")]);
    expect(foldersWith(some, "/")).toEqual([a, b, read("/")]);
    for (const wrong of ["", "models", "/a", "/a/"]) expect(foldersWith(some, wrong), wrong).toBeNull();
  });

  it("can be left out", () => {
    expect(foldersWithout(some, "/a")).toEqual([b]);
  });

  it("take downloads or do not", () => {
    expect(foldersChanged(some, "/b c", true)).toEqual([a, { ...b, writable: true }]);
    expect(foldersChanged(some, "/a", false)).toEqual([read("/a"), b]);
  });

  it("say how much their disks have free", () => {
    expect(some.model_folders.map(folderText)).toEqual(["4.7 GiB free", "not there now: is the disk connected?"]);
  });
});
