// How a request reaches the node. From a browser: over HTTP. Inside of the app: by the app's own commands, so that the
// window works while the API has no port. The same request gives the same answer.

import { Channel, invoke, isTauri } from "@tauri-apps/api/core";

type Head = { status: number; content_type: string };

let calls = 0;

/** Like `fetch` for a path of the node's API: a stream of bytes, ended early by `signal`. */
export function request(path: string, init: RequestInit = {}): Promise<Response> {
  return isTauri() ? insideTheApp(path, init) : fetch(path, init);
}

function insideTheApp(path: string, { method = "GET", body, signal }: RequestInit): Promise<Response> {
  const id = (calls += 1);
  let hungUp = false;
  const hangUp = () => {
    hungUp = true;
    void invoke("hang_up", { id });
  };
  return new Promise((resolve, reject) => {
    let controller: ReadableStreamDefaultController<Uint8Array>;
    const bytes = new ReadableStream<Uint8Array>({
      start: (own) => void (controller = own),
      cancel: hangUp,
    });
    const fail = (error: unknown) => {
      reject(error);
      // A stream that has ended cannot fail any more.
      try {
        controller.error(error);
      } catch {
        return;
      }
    };
    signal?.addEventListener("abort", () => {
      hangUp();
      fail(signal.reason);
    });
    // A head, the bytes of the body, and `null`: the command's own return may overtake what the channel still carries.
    const answer = new Channel<Head | ArrayBuffer | null>((piece) => {
      if (hungUp) return;
      if (piece instanceof ArrayBuffer) return controller.enqueue(new Uint8Array(piece));
      if (piece === null) return controller.close();
      const empty = piece.status === 204;
      resolve(new Response(empty ? null : bytes, { status: piece.status, headers: { "Content-Type": piece.content_type } }));
    });
    invoke("api", { id, method, path, body: typeof body === "string" ? body : null, answer }).catch((error: unknown) =>
      fail(error instanceof Error ? error : new TypeError(String(error))),
    );
  });
}
