import { useState } from 'react';

import { placeOf, type State, shown } from '../live/state';
import { formatCount, formatMembers, formatTime } from '../ui/format';
import { Submit } from '../ui/Submit';
import { Announcer } from './Announcer';
import styles from './BoardView.module.css';
import { FollowForm } from './FollowForm';
import { PlaceCard } from './PlaceCard';
import { RankTable } from './RankTable';
import { Status } from './Status';

interface Props {
  readonly board: string;
  readonly state: State;
  readonly onPause: () => void;
  readonly onFollow: (member: string | null) => void;
}

export function BoardView({ board, state, onPause, onFollow }: Props) {
  const [jumps, setJumps] = useState(0);
  const view = shown(state);
  const decimals = state.board?.decimals ?? 0;
  const place = placeOf(state);

  if (state.presence === 'missing') return <Missing board={board} />;
  return (
    <div className={state.follows === null ? undefined : styles.withCard}>
      <div className={styles.top}>
        <div className={styles.title}>
          <h1>
            <bdi>{board}</bdi>
          </h1>
          <p className={styles.facts}>{facts(state)}</p>
        </div>
        <FollowForm rows={view.rows} follows={state.follows} onFollow={onFollow} />
      </div>
      <div className={styles.bar}>
        <Status state={state} />
        <button type="button" className={styles.pause} onClick={onPause}>
          {state.held ? 'Resume' : 'Pause'}
        </button>
      </div>
      <Announcer state={state} />
      {state.follows !== null && (
        <PlaceCard
          member={state.follows}
          place={place}
          rows={view.rows}
          decimals={decimals}
          onJump={() => setJumps((n) => n + 1)}
          onStop={() => onFollow(null)}
        />
      )}
      {!view.received && <Loading />}
      {view.received && view.rows.length === 0 && <Empty board={board} />}
      {view.rows.length > 0 && (
        <RankTable
          board={board}
          rows={view.rows}
          decimals={decimals}
          ascending={state.board?.order === 'asc'}
          follows={state.follows}
          dimmed={state.link === 'stale' || state.link === 'reconnecting'}
          jumps={jumps}
        />
      )}
      {view.total > view.rows.length && view.rows.length > 0 && (
        <p className={styles.end}>
          {formatCount(view.total - view.rows.length)} more{' '}
          {view.total - view.rows.length === 1 ? 'member' : 'members'} below. Follow one to see its rank.
        </p>
      )}
    </div>
  );
}

function facts(state: State): string {
  const view = shown(state);
  if (!view.received || !state.board) return 'Looking for the table…';
  const parts = [formatMembers(view.total)];
  if (view.total > view.rows.length) parts.push(`top ${formatCount(view.rows.length)} shown`);
  if (state.board.order === 'asc') parts.push('lowest score leads');
  if (view.season > 1) parts.push(`season ${view.season}`);
  if (view.endsAt) parts.push(`${view.closed ? 'ended' : 'ends'} ${formatTime(view.endsAt)}`);
  return parts.join(' · ');
}

function Loading() {
  return (
    <div className={styles.loading} aria-hidden="true">
      {[82, 64, 71, 55, 60, 48].map((width) => (
        <div key={width}>
          <span style={{ width: `${width}%` }} />
        </div>
      ))}
    </div>
  );
}

function Empty({ board }: { board: string }) {
  return (
    <section className={styles.empty}>
      <h2>No scores yet</h2>
      <p>This board is open and waiting. Its first score appears here the moment it is sent:</p>
      <Submit board={board} />
    </section>
  );
}

const boardId = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

function Missing({ board }: { board: string }) {
  return (
    <section className={styles.empty}>
      <h1>
        No board called <bdi>{board}</bdi>
      </h1>
      {boardId.test(board) ? (
        <>
          <p>
            This page keeps looking, and shows the board as soon as there is one. Unless the server was told
            otherwise, a first score makes it:
          </p>
          <Submit board={board} />
        </>
      ) : (
        <p>
          And there cannot be one: a board is called by 1 to 64 letters, digits, dots, underscores or hyphens,
          the first of them a letter or digit.
        </p>
      )}
    </section>
  );
}
