import { useEffect, useState } from 'react';

import type { State } from '../live/state';
import { type News, newsOf, sentence } from './announce';

/** The least time between two announcements, in milliseconds: a race told in full is noise. */
export const QUIET = 10_000;

/** The page's one live region, for those who listen to it. */
export function Announcer({ state }: { state: State }) {
  const [spoken, setSpoken] = useState<{ news: News; text: string; at: number } | null>(null);
  const news = newsOf(state);
  const text = sentence(news, spoken?.news ?? null);

  // Runs with every state, so that what is spoken is the newest when its time has come.
  useEffect(() => {
    if (text === null) return;
    const wait = spoken ? Math.max(0, spoken.at + QUIET - Date.now()) : 0;
    const timer = setTimeout(() => setSpoken({ news, text, at: Date.now() }), wait);
    return () => clearTimeout(timer);
  });

  return (
    <div role="status" className="visually-hidden">
      {spoken?.text}
    </div>
  );
}
