import { describe, expect, it } from "vitest";
import { recipesFor } from "./recipes";

const recipes = recipesFor("http://127.0.0.1:4000", "sprout");
const codeOf = (id: string, model = "sprout") => recipesFor("http://127.0.0.1:4000", model).find((recipe) => recipe.id === id)?.code ?? "";

describe("set-ups", () => {
  it("name this node's address and the model", () => {
    for (const { id, code } of recipes) {
      // Anthropic's and Ollama's programs add the path themselves.
      const path = ["anthropic", "claude-code", "ollama", "ollama-python"].includes(id) ? "(?!/)" : "/v1";
      expect(code, id).toMatch(new RegExp(`http://127\\.0\\.0\\.1:4000${path}`));
      if (id !== "cursor" && id !== "open-webui") expect(code, id).toContain("sprout");
    }
  });

  it("have names of their own", () => {
    expect(new Set(recipes.map((recipe) => recipe.id)).size).toBe(recipes.length);
  });

  it("list only what speaks the API that is there", () => {
    const all = JSON.stringify(recipes);
    for (const absent of ["Codex", "/v1/responses"]) expect(all).not.toContain(absent);
  });

  it("are honest about Cursor", () => {
    expect(recipes.find((recipe) => recipe.id === "cursor")?.note).toContain("cannot reach this computer");
  });

  it("keep odd names in their quotes", () => {
    const odd = `it's "4-bit"`;
    expect(codeOf("curl", odd)).toContain(`it'\\''s \\"4-bit\\"`);
    expect(codeOf("claude-code", odd)).toContain(`ANTHROPIC_MODEL='it'\\''s "4-bit"'`);
    expect(codeOf("python", odd)).toContain(`model="it's \\"4-bit\\""`);
  });
});
