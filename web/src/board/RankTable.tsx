import { type FocusEvent, useEffect, useLayoutEffect, useRef, useState } from 'react';

import type { Row } from '../live/rows';
import { mayAnimate, playMove, ROW, type Spot } from './motion';
import styles from './RankTable.module.css';
import { TableRow } from './TableRow';
import { useWindow } from './useWindow';

interface Props {
  readonly board: string;
  readonly rows: readonly Row[];
  readonly decimals: number;
  readonly ascending: boolean;
  readonly follows: string | null;
  readonly dimmed: boolean;
  readonly jumps: number; // each further one scrolls to the followed member
}

/**
 * The table. Only rows near the screen exist, in the order of their ranks, as screen readers need; each is
 * placed by its index, and moves are played on top of that.
 */
export function RankTable({ board, rows, decimals, ascending, follows, dimmed, jumps }: Props) {
  const table = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const elements = useRef(new Map<string, HTMLElement>());
  const spots = useRef<ReadonlyMap<string, Spot> | null>(null);
  const range = useWindow(list, rows.length);
  // A row that has the focus, or is about to, is kept wherever it goes.
  const [kept, setKept] = useState<string | null>(null);
  const wasHidden = useWasHidden();

  useLayoutEffect(() => {
    const before = spots.current;
    const now = new Map(rows.map(({ member, score }, index) => [member, { index, score }]));
    spots.current = now;
    if (!before || wasHidden() || !mayAnimate()) return;
    for (const [member, element] of elements.current) {
      const to = now.get(member);
      if (to) playMove(element, before.get(member), to);
    }
  }, [rows, wasHidden]);

  // Who has left the table takes the focus with them, unless the table catches it.
  const keptIsGone = kept !== null && !rows.some(({ member }) => member === kept);
  useLayoutEffect(() => {
    if (!keptIsGone) return;
    if (document.activeElement === document.body) table.current?.focus({ preventScroll: true });
    setKept(null);
  }, [keptIsGone]);

  const jumped = useRef(jumps);
  useLayoutEffect(() => {
    if (jumps !== jumped.current) setKept(follows);
  }, [jumps, follows]);
  useEffect(() => {
    if (jumps === jumped.current || kept !== follows || follows === null) return;
    jumped.current = jumps;
    const row = elements.current.get(follows);
    row?.scrollIntoView({ block: 'center', behavior: mayAnimate() ? 'smooth' : 'instant' });
    row?.querySelector('a')?.focus({ preventScroll: true });
  }, [jumps, kept, follows]);

  function onFocus(event: FocusEvent<HTMLElement>) {
    const row = event.target.closest<HTMLElement>('[data-member]');
    setKept(row?.dataset.member ?? null);
  }

  const drawn = rows
    .map((row, index) => ({ row, index }))
    .filter(({ row, index }) => (index >= range.first && index < range.last) || row.member === kept);

  return (
    <div
      ref={table}
      role="table"
      aria-label={`Ranking of ${board}`}
      aria-rowcount={rows.length + 1}
      className={styles.table}
      data-dimmed={dimmed}
      tabIndex={-1}
    >
      <div role="rowgroup" className={styles.head}>
        <div role="row" aria-rowindex={1} className={styles.columns}>
          <span role="columnheader" className={styles.rankHead}>
            Rank
          </span>
          <span role="columnheader" className={styles.changeHead}>
            <span className="visually-hidden">Change</span>
          </span>
          <span role="columnheader">Member</span>
          <span role="columnheader" className={styles.gapHead}>
            Gap<span className="visually-hidden"> to the one above</span>
          </span>
          <span role="columnheader" className={styles.scoreHead}>
            Score
          </span>
        </div>
      </div>
      <div
        ref={list}
        role="rowgroup"
        className={styles.list}
        style={{ height: rows.length * ROW }}
        onFocus={onFocus}
        onBlur={() => setKept(null)}
      >
        {drawn.map(({ row, index }) => (
          <TableRow
            key={row.member}
            board={board}
            row={row}
            index={index}
            decimals={decimals}
            ascending={ascending}
            followed={row.member === follows}
            elements={elements.current}
          />
        ))}
      </div>
    </div>
  );
}

/** Tells once, after the tab was hidden, that what comes now has happened unseen. */
function useWasHidden(): () => boolean {
  const hidden = useRef(false);
  useEffect(() => {
    const onChange = () => {
      hidden.current ||= document.hidden;
    };
    document.addEventListener('visibilitychange', onChange);
    return () => document.removeEventListener('visibilitychange', onChange);
  }, []);
  const [ask] = useState(() => () => {
    const was = hidden.current;
    hidden.current = document.hidden;
    return was;
  });
  return ask;
}
