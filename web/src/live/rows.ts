import type { RankStyle, Table } from './table';

/** How long a row goes on saying that it has moved, in milliseconds after its last move. */
export const MOVE_LASTS = 10_000;

/** Places gained (positive) or lost (negative) in the present run of moves; 'new' on entering the table. */
export type Change = number | 'new';

export interface Row {
  readonly member: string;
  readonly name: string;
  readonly score: number;
  readonly rank: number;
  readonly tied: boolean; // shares its rank with a neighbour
  readonly behind: number; // score between this row and the one above; never negative; 0 for the first
  readonly share: number; // of the first row's score, from 0 to 1: the length of the row's bar
  readonly change: Change;
  readonly from: number | null; // the rank at which the present run of moves began; null outside the table
  readonly movedAt: number; // when the row last moved, in milliseconds; 0 for never
}

/** The ranks of scores that are already in their board's order; the first is 1. */
export function ranksOf(scores: readonly number[], style: RankStyle): number[] {
  const ranks: number[] = [];
  let rank = 0;
  scores.forEach((score, i) => {
    if (style === 'ordinal') rank = i + 1;
    else if (i === 0 || score !== scores[i - 1]) rank = style === 'dense' ? rank + 1 : i + 1;
    ranks.push(rank);
  });
  return ranks;
}

/** The exact difference of two scores with so many decimals, which their binary fractions may miss. */
export function gap(a: number, b: number, decimals: number): number {
  const unit = 10 ** decimals;
  return Math.abs(Math.round(a * unit) - Math.round(b * unit)) / unit;
}

export interface RowOptions {
  readonly style: RankStyle;
  readonly decimals: number;
  readonly at: number; // now, in milliseconds
  readonly moves: boolean; // whether a rank that differs from the one before is a move
}

/** The rows of a table. A row that has not changed is the same object as before, so that it is not drawn again. */
export function rowsOf(table: Table, before: readonly Row[], options: RowOptions): readonly Row[] {
  const { style, decimals, at, moves } = options;
  const { leaders } = table;
  const ranks = ranksOf(
    leaders.map((leader) => leader.score),
    style,
  );
  const old = new Map(before.map((row) => [row.member, row]));
  const first = leaders[0]?.score ?? 0;
  return leaders.map((leader, i) => {
    const rank = ranks[i] ?? i + 1;
    const was = old.get(leader.member);
    const row: Row = {
      member: leader.member,
      name: leader.name,
      score: leader.score,
      rank,
      tied: ranks[i - 1] === rank || ranks[i + 1] === rank,
      behind: gap(leaders[i - 1]?.score ?? leader.score, leader.score, decimals),
      share: shareOf(leader.score, first),
      ...(moves ? move(was, rank, at) : { change: 0, from: rank, movedAt: 0 }),
    };
    return was && sameRow(was, row) ? was : row;
  });
}

/** The rows once those whose last move is long ago have stopped saying so. */
export function settle(rows: readonly Row[], at: number): readonly Row[] {
  if (!rows.some((row) => isOver(row, at))) return rows;
  return rows.map((row) => (isOver(row, at) ? { ...row, change: 0, from: row.rank, movedAt: 0 } : row));
}

type Move = Pick<Row, 'change' | 'from' | 'movedAt'>;

function isOver(row: Move, at: number): boolean {
  return row.movedAt !== 0 && at - row.movedAt >= MOVE_LASTS;
}

/** A move continues the run that the row is in, or begins one at the rank that it had. */
export function move(was: (Move & { rank: number }) | undefined, rank: number, at: number): Move {
  if (!was) return { change: 'new', from: null, movedAt: at };
  if (isOver(was, at)) return move({ ...was, change: 0, from: was.rank, movedAt: 0 }, rank, at);
  if (was.rank === rank) return { change: was.change, from: was.from, movedAt: was.movedAt };
  const from = was.movedAt === 0 ? was.rank : was.from;
  return { change: from === null ? 'new' : from - rank, from, movedAt: at };
}

// Where the lowest score leads, the leader's is the smaller of the two.
function shareOf(score: number, first: number): number {
  if (score <= 0 || first <= 0) return 0;
  return Math.min(score, first) / Math.max(score, first);
}

function sameRow(a: Row, b: Row): boolean {
  return (
    a.name === b.name &&
    a.score === b.score &&
    a.rank === b.rank &&
    a.tied === b.tied &&
    a.behind === b.behind &&
    a.share === b.share &&
    a.change === b.change &&
    a.from === b.from &&
    a.movedAt === b.movedAt
  );
}
