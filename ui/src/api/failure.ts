// What went wrong and what to do next, from whatever a request came back with.

/** For people. */
export type Problem = { message: string; hint: string | null };

/** A request that was refused or got lost. */
export class Refused extends Error {
  readonly problem: Problem;
  /** The answer's status, if there was an answer. */
  readonly status: number | null;

  constructor(problem: Problem, status: number | null = null) {
    super(problem.message);
    this.problem = problem;
    this.status = status;
  }
}

/** The problem behind anything that was thrown. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Refused) return error.problem;
  if (error instanceof TypeError) return { message: "The node did not answer.", hint: "Is it still running? Try again." };
  return { message: error instanceof Error ? error.message : String(error), hint: null };
}

/** The problem in an answer's body: the admin API's envelope or OpenAI's. */
export function problemIn(body: unknown, status: number): Problem {
  const error = field(body, "error");
  const message = field(error, "message");
  const hint = field(error, "hint");
  if (typeof message !== "string") return { message: `The node answered with status ${status}.`, hint: null };
  return { ...split(message), ...(typeof hint === "string" ? { hint } : {}) };
}

/** OpenAI's envelope has no field for a hint, so the node puts it into the message. */
function split(message: string): Problem {
  const at = message.lastIndexOf(" (hint: ");
  if (at < 0) return { message, hint: null };
  return { message: message.slice(0, at), hint: message.slice(at + 8).replace(/\)$/, "") };
}

export function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
