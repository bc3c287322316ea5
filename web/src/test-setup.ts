import '@testing-library/jest-dom/vitest';
import { cleanup } from '@testing-library/react';
import { afterEach } from 'vitest';

// The tests do not use vitest's globals, so Testing Library cannot clean up by itself.
afterEach(cleanup);
