import '@testing-library/jest-dom/vitest';
import { cleanup } from '@testing-library/react';
import { afterEach, beforeEach, vi } from 'vitest';

// The tests do not use vitest's globals, so Testing Library cannot clean up by itself.
afterEach(cleanup);

// What jsdom lacks and the page asks the browser for. Nobody prefers anything, unless a test says so.
if (typeof window !== 'undefined') {
  beforeEach(() => {
    vi.stubGlobal('matchMedia', (query: string) => ({ matches: false, media: query }));
    vi.stubGlobal('scrollTo', vi.fn<() => void>());
    Element.prototype.animate = vi.fn<Element['animate']>();
    Element.prototype.scrollIntoView = vi.fn<Element['scrollIntoView']>();
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });
}
