import { type Link, placeOf, type State, shown } from '../live/state';
import { formatScore, ordinal } from '../ui/format';
import { nameOf } from './names';

/** What a listener wants to hear of: who leads, where the followed member stands, whether it is live. */
export interface News {
  readonly link: Link;
  readonly leader: string | null; // the member; scores alone are no news
  readonly leads: string;
  readonly follows: string | null;
  readonly name: string;
  readonly rank: number | null;
}

export function newsOf(state: State): News {
  const { rows } = shown(state);
  const place = placeOf(state);
  const first = rows[0];
  return {
    link: state.link,
    leader: first?.member ?? null,
    leads: first ? `${first.name} leads with ${formatScore(first.score, state.board?.decimals ?? 0)}.` : '',
    follows: state.follows,
    name: state.follows === null ? '' : nameOf(state.follows, rows),
    rank: place?.rank ?? null,
  };
}

/** The sentence that tells what is new since the last one was spoken; null when nothing is. */
export function sentence(news: News, spoken: News | null): string | null {
  const stale = news.link === 'stale';
  if (stale) return spoken?.link === 'stale' ? null : 'Connection lost. The table stays as it was.';

  const parts: string[] = [];
  if (spoken?.link === 'stale') {
    if (news.link !== 'live') return null;
    parts.push('Live again.');
  }
  if (news.leader !== null && news.leader !== spoken?.leader) parts.push(news.leads);
  if (news.rank !== null && (news.rank !== spoken?.rank || news.follows !== spoken.follows)) {
    const steps =
      spoken !== null && spoken.follows === news.follows ? (spoken.rank ?? news.rank) - news.rank : 0;
    parts.push(
      `${news.name} is ${ordinal(news.rank)}${steps === 0 ? '' : `, ${steps > 0 ? 'up' : 'down'} ${Math.abs(steps)}`}.`,
    );
  }
  return parts.length === 0 ? null : parts.join(' ');
}
