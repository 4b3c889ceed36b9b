import type { Token } from "marked";
import { describe, expect, it } from "vitest";
import { blocksOf, plain, safeHref } from "./safe";

const types = (tokens: Token[]) => tokens.map((token) => token.type);

describe("a model's Markdown", () => {
  it("becomes blocks", () => {
    const text = "# A\n\nb *c*\n\n```rust\nfn main() {}\n```\n\n- d\n- e\n\n| f |\n|---|\n| g |\n";
    expect(types(blocksOf(text).filter((token) => token.type !== "space"))).toEqual(["heading", "paragraph", "code", "list", "table"]);
  });

  it("shows a code block while it is being written", () => {
    expect(blocksOf("```py\nprint(1)")).toMatchObject([{ type: "code", lang: "py", text: "print(1)" }]);
  });

  it("keeps HTML as text, in code and out of it", () => {
    expect(blocksOf("<script>alert(1)</script>")).toMatchObject([{ type: "html", text: "<script>alert(1)</script>" }]);
    expect(blocksOf("`<b>`")).toMatchObject([{ tokens: [{ type: "codespan", text: "<b>" }] }]);
    expect(blocksOf("```\n<b>&amp;\n```")).toMatchObject([{ text: "<b>&amp;" }]);
  });

  it("is plain text where it would take long", () => {
    expect(types(blocksOf("a *b* ".repeat(50_000)))).toEqual(["code"]);
  });
});

describe("a link", () => {
  it.each(["https://example.org/a?b#c", "http://127.0.0.1:3775", "mailto:a@example.org"])("to %s may be followed", (href) => {
    expect(safeHref(href)).toBe(href);
  });

  it.each(["javascript:alert(1)", " javascript:alert(1)", "JAVASCRIPT:x", "data:text/html,x", "vbscript:x", "file:///etc", "/admin", "#/x", "", null, 5])(
    "to %j may not",
    (href) => {
      expect(safeHref(href)).toBeNull();
    },
  );
});

it("characters by their names", () => {
  expect(plain("a &lt;b&gt; &amp;amp; &copy; &nbsp;")).toBe("a <b> &amp; &copy; \u00a0");
});
