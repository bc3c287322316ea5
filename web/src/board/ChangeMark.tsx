import type { Change } from '../live/rows';
import styles from './ChangeMark.module.css';

/** An arrow for the eye, words for the ear. */
export function ChangeMark({ change }: { change: Change }) {
  if (change === 0) return <span className="visually-hidden">no change</span>;
  if (change === 'new') return <span className={styles.new}>new</span>;
  const up = change > 0;
  const steps = Math.abs(change);
  return (
    <span className={up ? styles.up : styles.down}>
      <span aria-hidden="true">
        {up ? '▲' : '▼'}
        <span className={styles.steps}>{steps}</span>
      </span>
      <span className="visually-hidden">{`${up ? 'up' : 'down'} ${steps}`}</span>
    </span>
  );
}
