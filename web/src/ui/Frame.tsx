import { type ReactNode, useState } from 'react';

import { followLink } from '../router';
import styles from './Frame.module.css';
import { applyTheme, readTheme, themes } from './theme';
import { Wreath } from './Wreath';

export function Frame({ children }: { children: ReactNode }) {
  return (
    <div className={styles.frame}>
      <header className={styles.masthead}>
        <a className={styles.home} href="/" onClick={followLink}>
          <Wreath className={styles.mark} />
          <span>Laurel</span>
        </a>
        <ThemeButton />
      </header>
      <main className={styles.main}>{children}</main>
    </div>
  );
}

function ThemeButton() {
  const [theme, setTheme] = useState(readTheme);
  const next = themes[(themes.indexOf(theme) + 1) % themes.length] ?? 'auto';
  return (
    <button
      type="button"
      className={styles.theme}
      onClick={() => {
        applyTheme(next);
        setTheme(next);
      }}
    >
      Theme: {theme}
    </button>
  );
}
