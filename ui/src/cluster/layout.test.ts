import { describe, expect, it } from "vitest";
import { arrange, boxOf, connect, ordered, overlap, widthOf } from "./layout";

const ids = (count: number) => Array.from({ length: count }, (_, index) => `n${index}`);
const pairsOf = (names: string[]) => names.flatMap((a, index) => names.slice(index + 1).map((b) => [a, b] as const));
const wires = (count: number, lines = 3) => pairsOf(ids(count)).map(([a, b]) => ({ a, b, lines }));
const WIDTHS = [300, 480, 668, 860, 1040];

describe("places", () => {
  it("are rows, the fuller ones first", () => {
    const rows = (count: number, width: number) => {
      const found: number[] = [];
      for (const { row } of arrange(ids(count), width).places) found[row] = (found[row] ?? 0) + 1;
      return found;
    };
    expect([1, 2, 3, 4, 5, 7, 12].map((count) => rows(count, 860))).toEqual([[1], [2], [2, 1], [2, 2], [3, 2], [4, 3], [4, 4, 4]]);
    expect(rows(3, 300)).toEqual([1, 1, 1]);
    expect(rows(0, 860)).toEqual([]);
  });

  it("are the same each time", () => {
    expect(arrange(ids(7), 668)).toEqual(arrange(ids(7), 668));
  });

  it("stay inside and apart, up to a dozen, in any width", () => {
    for (const width of WIDTHS) {
      for (let count = 1; count <= 12; count += 1) {
        const { places, height } = arrange(ids(count), width);
        for (const place of places) {
          expect(place.x).toBeGreaterThanOrEqual(0);
          expect(place.x + place.width).toBeLessThanOrEqual(width);
          expect(place.y + place.height).toBeLessThanOrEqual(height);
        }
        for (const [a, b] of pairsOf(ids(count))) {
          const [one, other] = [a, b].map((id) => places.find((place) => place.id === id)!);
          expect(overlap(one!, other!), `${a} and ${b} of ${count} in ${width}`).toBe(false);
        }
      }
    }
  });
});

describe("labels", () => {
  it("lie on no card and on no other label", () => {
    for (const width of WIDTHS) {
      for (let count = 2; count <= 12; count += 1) {
        const layout = arrange(ids(count), width);
        const labels = connect(layout, wires(count)).flatMap((line) => (line?.label ? [boxOf(line.label)] : []));
        expect(labels.length, `${count} in ${width}`).toBeGreaterThan(0);
        labels.forEach((label, index) => {
          const others = [...layout.places, ...labels.slice(index + 1)];
          expect(others.some((other) => overlap(label, other)), `${count} in ${width}`).toBe(false);
        });
      }
    }
  });

  it("are all there in a small cluster", () => {
    for (const count of [2, 3, 4]) {
      const lines = connect(arrange(ids(count), 668), wires(count));
      expect(lines.every((line) => line?.label)).toBe(true);
      if (count < 4) expect(lines.map((line) => line?.label?.lines)).toEqual(lines.map(() => 3));
    }
  });

  it("are given to whoever comes first", () => {
    const layout = arrange(ids(12), 860);
    expect(connect(layout, wires(12))[0]?.label).not.toBeNull();
    expect(connect(layout, wires(12).toReversed())[0]?.label).not.toBeNull();
  });

  it("are one line where there is no room for all, and none where nothing is to say", () => {
    const lines = connect(arrange(ids(7), 668), wires(7)).map((line) => line?.label?.lines);
    expect(new Set(lines)).toEqual(new Set([3, 1, undefined]));
    expect(connect(arrange(ids(2), 668), wires(2, 0))[0]).toMatchObject({ label: null });
  });
});

it("a line to nobody is none", () => {
  const none = [{ a: "n0", b: "n9", lines: 1 }, { a: "n0", b: "n0", lines: 1 }];
  expect(connect(arrange(ids(2), 668), none)).toEqual([null, null]);
});

it("the longest line has room in a label's box", () => {
  const box = boxOf({ x: 0, y: 0, lines: 3 });
  for (const line of ["Thunderbolt", "936 Mbit/s", "12.3 ms"]) expect(widthOf([line, "x"])).toBeLessThanOrEqual(box.width);
  expect(boxOf({ x: 0, y: 0, lines: 1 }).width).toBeGreaterThanOrEqual(widthOf(["123 ms"]));
});

it("who stays keeps the place in the order", () => {
  expect(ordered([], ["c", "a", "b"])).toEqual(["a", "b", "c"]);
  expect(ordered(["b", "c"], ["a", "b", "c"])).toEqual(["b", "c", "a"]);
  expect(ordered(["a", "b", "c"], ["c", "a"])).toEqual(["a", "c"]);
});
