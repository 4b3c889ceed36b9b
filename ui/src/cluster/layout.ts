// Where the computers of the picture stand and how the lines between them run. Pure and deterministic: the same
// computers in the same width are always in the same places, so that nothing moves unless something changed.

export type Point = { x: number; y: number };

/** A computer's place; `x` and `y` are its upper left corner. */
export type Place = { id: string; row: number; x: number; y: number; width: number; height: number };

export type Layout = { places: Place[]; width: number; height: number };

/** What joins two computers, and how many lines its label has; with 0 it has none. */
export type Wire = { a: string; b: string; lines: number };

/** The middle of a label, and whether all of its lines fit there or only one. */
export type Label = Point & { lines: number };

/** A line between two computers, and where its label fits; `null` if it fits nowhere. */
export type Line = { path: string; label: Label | null };

/** A card holds a name, a chip, a bar and three lines. */
export const CARD_HEIGHT = 136;
const CARD_WIDTH_MIN = 136;
const CARD_WIDTH_MAX = 220;
/** Between neighbours in a row there is room for a label. */
const COLUMN_GAP = 88;
const ROW_GAP = 76;
/** Computers side by side in a row stand no further apart than this. */
const PITCH_MAX = 340;

/** Room that a label takes, in small type and with a margin: "same machine", or "123 ms" alone. */
const LABEL_WIDTH = 84;
const LABEL_WIDTH_SHORT = 60;
export const LABEL_LINE = 14;
/** Where along a line its label may be, the best place first. */
const LABEL_STOPS = [0.5, 0.36, 0.64, 0.25, 0.75, 0.15, 0.85];

/** Puts computers, in this order, into centred rows. */
export function arrange(ids: readonly string[], width: number): Layout {
  const columnsMax = Math.max(1, Math.floor((width + COLUMN_GAP) / (CARD_WIDTH_MIN + COLUMN_GAP)));
  const rows = rowsOf(ids.length, columnsMax);
  const columns = Math.max(1, ...rows);
  const pitch = Math.min(PITCH_MAX, (width + (columns === 1 ? 0 : COLUMN_GAP)) / columns);
  const cardWidth = Math.floor(Math.min(CARD_WIDTH_MAX, width, columns === 1 ? width : pitch - COLUMN_GAP));
  const places: Place[] = [];
  rows.forEach((inRow, row) => {
    for (let column = 0; column < inRow; column += 1) {
      const centre = width / 2 + (column - (inRow - 1) / 2) * pitch;
      const y = row * (CARD_HEIGHT + ROW_GAP);
      const id = ids[places.length] as string;
      places.push({ id, row, x: Math.floor(centre - cardWidth / 2), y, width: cardWidth, height: CARD_HEIGHT });
    }
  });
  return { places, width, height: Math.max(0, rows.length * (CARD_HEIGHT + ROW_GAP) - ROW_GAP) };
}

/** How many stand in each row: at least two rows from three on, the fuller ones first. */
function rowsOf(count: number, columnsMax: number): number[] {
  if (count === 0) return [];
  const rows = Math.max(Math.ceil(count / columnsMax), count > 2 ? 2 : 1);
  return Array.from({ length: rows }, (_, row) => Math.ceil((count - row) / rows));
}

/** A line as four points of a cubic curve. */
type Curve = [Point, Point, Point, Point];

/** The lines between pairs of computers. Labels never lie on a card or on each other: who comes first is served first. */
export function connect(layout: Layout, wires: readonly Wire[]): (Line | null)[] {
  const byId = new Map(layout.places.map((place) => [place.id, place]));
  const taken: Box[] = layout.places.map((place) => ({ ...place }));
  return wires.map(({ a, b, lines }) => {
    const [from, to] = [byId.get(a), byId.get(b)];
    if (!from || !to || from === to) return null;
    const curve = curveOf(from, to, layout);
    const label = labelOf(curve, lines, taken);
    if (label) taken.push(boxOf(label));
    return { path: pathOf(curve), label };
  });
}

function curveOf(one: Place, other: Place, layout: Layout): Curve {
  const [from, to] = one.row < other.row || (one.row === other.row && one.x < other.x) ? [one, other] : [other, one];
  if (from.row !== to.row) {
    // From the lower edge of the upper to the upper edge of the lower, leaving both upright, as branches do.
    const [start, end] = [middle(from, from.height), middle(to, 0)];
    const bend = (end.y - start.y) / 2;
    return [start, { x: start.x, y: start.y + bend }, { x: end.x, y: end.y - bend }, end];
  }
  const gap = to.x - (from.x + from.width);
  if (gap < from.width) {
    const y = from.y + from.height / 2;
    return straight({ x: from.x + from.width, y }, { x: to.x, y });
  }
  // Others stand between them: the line goes round through the space towards the next row.
  const last = from.row > 0 && from.y + from.height >= layout.height - 1;
  const edge = last ? 0 : from.height;
  const depth = ROW_GAP * (last ? -0.85 : 0.85);
  const [start, end] = [middle(from, edge), middle(to, edge)];
  return [start, { x: start.x, y: start.y + depth }, { x: end.x, y: end.y + depth }, end];
}

function straight(from: Point, to: Point): Curve {
  const between = (share: number) => ({ x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share });
  return [from, between(1 / 3), between(2 / 3), to];
}

function middle(place: Place, below: number): Point {
  return { x: place.x + place.width / 2, y: place.y + below };
}

function pathOf([a, b, c, d]: Curve): string {
  const text = (point: Point) => `${round(point.x)} ${round(point.y)}`;
  return `M${text(a)}C${text(b)} ${text(c)} ${text(d)}`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** The point of a curve at `t`, 0 to 1. */
function at([a, b, c, d]: Curve, t: number): Point {
  const s = 1 - t;
  const mix = (a: number, b: number, c: number, d: number) =>
    s * s * s * a + 3 * s * s * t * b + 3 * s * t * t * c + t * t * t * d;
  return { x: round(mix(a.x, b.x, c.x, d.x)), y: round(mix(a.y, b.y, c.y, d.y)) };
}

type Box = { x: number; y: number; width: number; height: number };

export function boxOf({ x, y, lines }: Label): Box {
  const width = lines === 1 ? LABEL_WIDTH_SHORT : LABEL_WIDTH;
  const height = lines * LABEL_LINE + 6;
  return { x: x - width / 2, y: y - height / 2, width, height };
}

/** About as wide as these lines are, so that they hide no more of their link than they must. */
export function widthOf(lines: readonly string[]): number {
  return Math.max(0, ...lines.map((line) => line.length)) * 6.6 + 8;
}

/** Better one line than no label. */
function labelOf(curve: Curve, lines: number, taken: readonly Box[]): Label | null {
  if (lines === 0) return null;
  const points = LABEL_STOPS.map((stop) => at(curve, stop));
  const places = [lines, 1].flatMap((lines) => points.map((point) => ({ ...point, lines })));
  return places.find((label) => !taken.some((box) => overlap(box, boxOf(label)))) ?? null;
}

export function overlap(one: Box, other: Box): boolean {
  return (
    one.x < other.x + other.width &&
    other.x < one.x + one.width &&
    one.y < other.y + other.height &&
    other.y < one.y + one.height
  );
}

/** The order in which computers stand: as they came, so that one that comes or goes leaves the others in place. */
export function ordered(before: readonly string[], now: readonly string[]): string[] {
  const stay = before.filter((id) => now.includes(id));
  return [...stay, ...now.filter((id) => !before.includes(id)).sort()];
}
