import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// The daemon that `npm run dev` shows the page of.
const daemon = process.env.LAUREL_URL ?? 'http://127.0.0.1:8000';

export default defineConfig({
  plugins: [react()],
  build: {
    // The page's content security policy allows no data: but images, and hashed files are cached for good.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // The licences of what is bundled, and with it in the binary, ask for their text to come along.
    license: { fileName: 'licenses.md' },
  },
  server: {
    proxy: {
      '/v1': daemon,
      '/connection': { target: daemon, ws: true },
      '/emulation': daemon,
    },
  },
  test: {
    environment: 'jsdom',
    setupFiles: ['src/test-setup.ts'],
    testTimeout: 30_000, // for machines with much else to do
    include: ['src/**/*.test.{ts,tsx}'],
    css: { modules: { classNameStrategy: 'non-scoped' } },
  },
});
