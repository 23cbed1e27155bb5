/**
 * Build of the viewer page. Everything is relative and nothing is inlined, so
 * the page can be served from any prefix under a policy without inline code.
 */
import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "./",
  build: {
    outDir: "dist",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // hls.js is one module of half a megabyte and cannot be split further.
    chunkSizeWarningLimit: 800,
  },
  test: {
    include: ["tests/**/*.test.ts"],
    environment: "node",
  },
});
