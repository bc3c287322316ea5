import type { State } from '../live/state';
import { formatAge } from '../ui/format';
import styles from './Status.module.css';

/** The state of the connection in words, and how old what is on the screen can be. */
export function Status({ state }: { state: State }) {
  const { kind, word, detail } = describe(state);
  return (
    <p className={styles.status}>
      <span className={styles.word} data-kind={kind}>
        {word}
      </span>{' '}
      <span className={styles.detail}>{detail}</span>
    </p>
  );
}

function changed(age: number): string {
  return age < 2_000 ? 'changed just now' : `changed ${formatAge(age)} ago`;
}

function describe(state: State): { kind: string; word: string; detail: string } {
  const since = (at: number) => formatAge(state.now - at);
  switch (state.link) {
    case 'connecting':
      return { kind: 'wait', word: 'CONNECTING', detail: 'to the server' };
    case 'reconnecting':
      return { kind: 'wait', word: 'RECONNECTING', detail: `as of ${since(state.lostAt)} ago` };
    case 'stale':
      return { kind: 'stale', word: 'STALE', detail: `as of ${since(state.lostAt)} ago, still trying` };
    case 'live':
      if (state.held) return { kind: 'wait', word: 'PAUSED', detail: `as of ${since(state.held.at)} ago` };
      return {
        kind: 'live',
        word: 'LIVE',
        detail: state.changedAt === 0 ? 'up to date' : changed(state.now - state.changedAt),
      };
  }
}
