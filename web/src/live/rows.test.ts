// @vitest-environment node
import { describe, expect, it } from 'vitest';

import { gap, MOVE_LASTS, type Row, type RowOptions, ranksOf, rowsOf, settle } from './rows';
import type { Table } from './table';

describe('ranksOf', () => {
  it.each([
    ['ordinal', [1, 2, 3, 4, 5]],
    ['competition', [1, 2, 2, 4, 4]],
    ['dense', [1, 2, 2, 3, 3]],
  ] as const)('numbers ties the %s way', (style, want) => {
    expect(ranksOf([9, 7, 7, 3, 3], style)).toEqual(want);
  });

  it('takes a lowest-first board as it comes', () => {
    expect(ranksOf([1.5, 1.5, 2], 'competition')).toEqual([1, 1, 3]);
  });

  it('of nobody is nothing', () => {
    expect(ranksOf([], 'dense')).toEqual([]);
  });
});

describe('gap', () => {
  it('is exact where binary fractions are not', () => {
    expect(0.3 - 0.1).not.toBe(0.2);
    expect(gap(0.3, 0.1, 1)).toBe(0.2);
    expect(gap(999_999_999.999_999, 999_999_999.999_998, 6)).toBe(0.000001);
  });

  it('has no sign, whichever way the board is ordered', () => {
    expect(gap(61.25, 60.5, 2)).toBe(0.75);
    expect(gap(60.5, 61.25, 2)).toBe(0.75);
  });
});

describe('a row', () => {
  const options: RowOptions = { style: 'ordinal', decimals: 0, at: 0, moves: true };
  const first = rowsOf(table('a', 'b', 'c', 'd'), [], { ...options, moves: false });

  it('adds up moves that follow each other', () => {
    const second = rowsOf(table('a', 'b', 'd', 'c'), first, { ...options, at: 1_000 });
    const third = rowsOf(table('d', 'a', 'b', 'c'), second, { ...options, at: 1_000 + MOVE_LASTS - 1 });
    expect(changes(third)).toEqual({ d: 3, a: -1, b: -1, c: -1 });
  });

  it('begins a new run of moves after a rest', () => {
    const second = rowsOf(table('a', 'b', 'd', 'c'), first, { ...options, at: 1_000 });
    const third = rowsOf(table('d', 'a', 'b', 'c'), second, { ...options, at: 1_000 + MOVE_LASTS });
    expect(changes(third)).toEqual({ d: 2, a: -1, b: -1, c: 0 });
  });

  it('that comes back to where it began has not changed', () => {
    const second = rowsOf(table('b', 'a', 'c', 'd'), first, { ...options, at: 1_000 });
    const third = rowsOf(table('a', 'b', 'c', 'd'), second, { ...options, at: 2_000 });
    expect(changes(third)).toEqual({ a: 0, b: 0, c: 0, d: 0 });
  });

  it('stops saying that it has moved after a while', () => {
    const moved = rowsOf(table('b', 'a', 'c', 'd'), first, { ...options, at: 1_000 });
    expect(settle(moved, 1_000 + MOVE_LASTS - 1)).toBe(moved);
    expect(changes(settle(moved, 1_000 + MOVE_LASTS))).toEqual({ a: 0, b: 0, c: 0, d: 0 });
  });

  it('that has not changed is the same object', () => {
    const second = rowsOf(table('b', 'a', 'c', 'd'), first, { ...options, at: 1_000 });
    expect(second[0]).not.toBe(first[1]);
    expect(second[3]).toBe(first[3]);
  });

  it('has a bar as long as its share of the leading score', () => {
    const share = (...scores: number[]) => rowsOf(scored(scores), [], options).map((row) => row.share);
    expect(share(200, 50, 0, -10)).toEqual([1, 0.25, 0, 0]);
    expect(share(50, 200)).toEqual([1, 0.25]); // the lowest leads
    expect(share(-1, -2)).toEqual([0, 0]);
  });
});

// The members in this order, each with a score that only it has.
function table(...members: string[]): Table {
  const leaders = members.map((member, i) => ({ member, name: member, score: 100 - 10 * i }));
  return { leaders, total: members.length, season: 1, endsAt: 0, closed: false, rev: 1 };
}

function scored(scores: number[]): Table {
  const leaders = scores.map((score, i) => ({ member: `m${i}`, name: `m${i}`, score }));
  return { leaders, total: scores.length, season: 1, endsAt: 0, closed: false, rev: 1 };
}

function changes(rows: readonly Row[]) {
  return Object.fromEntries(rows.map((row) => [row.member, row.change]));
}
