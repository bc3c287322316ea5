import { type CSSProperties, memo } from 'react';

import type { Row } from '../live/rows';
import { boardAddress, followLink } from '../router';
import { formatCount, formatScore } from '../ui/format';
import { Wreath } from '../ui/Wreath';
import { ChangeMark } from './ChangeMark';
import { ROW } from './motion';
import styles from './RankTable.module.css';

interface Props {
  readonly board: string;
  readonly row: Row;
  readonly index: number;
  readonly decimals: number;
  readonly ascending: boolean;
  readonly followed: boolean;
  readonly elements: Map<string, HTMLElement>; // takes in the row's element while it is drawn
}

export const TableRow = memo(function TableRow(props: Props) {
  const { board, row, index, decimals, ascending, followed, elements } = props;
  const medal = row.rank <= 3 ? row.rank : undefined;
  return (
    <div
      ref={(element) => {
        if (!element) return;
        elements.set(row.member, element);
        return () => {
          elements.delete(row.member);
        };
      }}
      role="row"
      aria-rowindex={index + 2}
      aria-current={followed ? 'true' : undefined}
      data-member={row.member}
      data-medal={medal}
      className={styles.row}
      style={{ transform: `translateY(${index * ROW}px)`, '--share': row.share } as CSSProperties}
    >
      <span role="cell" className={styles.rank}>
        {medal && <Wreath className={styles.wreath} />}
        <span className={styles.number}>
          {row.tied && (
            <>
              <span aria-hidden="true" className={styles.tie}>
                =
              </span>
              <span className="visually-hidden">tied </span>
            </>
          )}
          {formatCount(row.rank)}
        </span>
      </span>
      <span role="cell" className={styles.change}>
        <ChangeMark change={row.change} />
      </span>
      <span role="rowheader" className={styles.name}>
        <a href={boardAddress(board, row.member)} onClick={followLink}>
          <bdi>{row.name}</bdi>
        </a>
      </span>
      <span role="cell" className={styles.gap}>
        <Gap row={row} first={index === 0} decimals={decimals} ascending={ascending} />
      </span>
      <span role="cell" className={styles.score}>
        {formatScore(row.score, decimals)}
      </span>
    </div>
  );
});

function Gap({
  row,
  first,
  decimals,
  ascending,
}: {
  row: Row;
  first: boolean;
  decimals: number;
  ascending: boolean;
}) {
  if (first) return 'leads';
  if (row.behind === 0) return 'level';
  const behind = formatScore(row.behind, decimals);
  return (
    <>
      <span aria-hidden="true">
        {ascending ? '+' : '−'}
        {behind}
      </span>
      <span className="visually-hidden">{behind} behind</span>
    </>
  );
}
