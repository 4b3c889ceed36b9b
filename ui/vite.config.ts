import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const NODE = { target: "http://127.0.0.1:3775", changeOrigin: true };

export default defineConfig({
  plugins: [svelte()],
  // The page's policy allows files of this server alone, so nothing is put into others as a data: URL.
  build: { assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  // `npm run dev` shows a node that runs here. The node answers pages of its own address alone, so the proxy takes it on.
  server: { proxy: Object.fromEntries(["/admin", "/v1"].map((path) => [path, NODE])) },
});
