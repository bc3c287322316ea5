import type { Row } from '../live/rows';
import { type Place, toNext } from '../live/state';
import { formatCount, formatScore, ordinal } from '../ui/format';
import { ChangeMark } from './ChangeMark';
import { nameOf } from './names';
import styles from './PlaceCard.module.css';

interface Props {
  readonly member: string;
  readonly place: Place | null;
  readonly rows: readonly Row[];
  readonly decimals: number;
  readonly onJump: () => void;
  readonly onStop: () => void;
}

/** Where the followed member stands, also below the table. It stays at the foot of the screen. */
export function PlaceCard({ member, place, rows, decimals, onJump, onStop }: Props) {
  const name = nameOf(member, rows);
  const inTable = rows.some((row) => row.member === member);
  return (
    <section className={styles.card} aria-label={`Followed: ${name}`}>
      {place && place.rank !== null && (
        <p className={styles.rank}>
          <strong>{ordinal(place.rank)}</strong> <ChangeMark change={place.change} />
        </p>
      )}
      <p className={styles.who}>
        <bdi className={styles.name}>{name}</bdi>
        <span className={styles.way}>{way(place, rows, decimals)}</span>
      </p>
      {place && place.score !== null && <p className={styles.score}>{formatScore(place.score, decimals)}</p>}
      {inTable && (
        <button type="button" className={styles.jump} onClick={onJump}>
          Jump to row
        </button>
      )}
      <button type="button" className={styles.stop} onClick={onStop} aria-label={`Stop following ${name}`}>
        <span aria-hidden="true">×</span>
      </button>
    </section>
  );
}

function way(place: Place | null, rows: readonly Row[], decimals: number): string {
  if (!place) return 'looking for it…';
  if (place.rank === null || place.score === null) return 'not on this board yet';
  const of = `of ${formatCount(place.total)}`;
  const next = toNext(place, decimals);
  if (next === null || place.above === null) return `${of} · in the lead`;
  const above = `${nameOf(place.above.member, rows)} (${ordinal(place.above.rank)})`;
  if (next === 0) return `${of} · level with ${above}`;
  return `${of} · ${formatScore(next, decimals)} behind ${above}`;
}
