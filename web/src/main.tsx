import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { App } from './app';
import { Connection } from './live/connection';
import { applyTheme, readTheme } from './ui/theme';
import './ui/base.css';

applyTheme(readTheme());
const root = document.getElementById('root');
if (!root) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <App connection={new Connection(location.origin)} />
  </StrictMode>,
);
