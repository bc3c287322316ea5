// @vitest-environment node
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { initial, type Message, reduce, type State } from './state';
import { type Board, decodeBoard } from './table';

const testdata = new URL('./testdata/', import.meta.url);
const read = (file: string) => readFileSync(new URL(file, testdata), 'utf8');

interface Case {
  name: string;
  rank_style?: string;
  decimals?: number;
  messages: string[];
  rows: [number, string, number, number, number | 'new'][];
  total: number;
  season: number;
  rev: number;
  refused: number;
}

interface Publication {
  file: string;
  entries: { member: string; score: number; data?: unknown }[];
  board: { decimals: number };
  total: number;
  season: number;
  rev: number;
}

const { cases } = JSON.parse(read('reduced.json')) as { cases: Case[] };
const { publications } = JSON.parse(read('golden.json')) as { publications: Publication[] };

describe('the golden publications', () => {
  it('are each described for the server and used by a case', () => {
    const files = readdirSync(testdata).filter((file) => file !== 'golden.json' && file !== 'reduced.json');
    const used = new Set(cases.flatMap(({ messages }) => messages).filter((file) => file !== 'subscribed'));
    expect(publications.map(({ file }) => file).sort()).toEqual(files.sort());
    expect([...used].sort()).toEqual(files);
  });

  it.each(publications)(
    '$file holds what golden.json says',
    ({ file, entries, board, total, season, rev }) => {
      const leaders = entries.map(({ member, score, data }) => ({
        name: member,
        score: score / 10 ** board.decimals,
        ...(data === undefined ? {} : { data }),
      }));
      expect(JSON.parse(read(file))).toEqual({ leaders, total, season, rev });
    },
  );

  it.each(publications)('$file is one line of ASCII', ({ file }) => {
    expect(read(file)).not.toMatch(/[^\x20-\x7e]/);
  });
});

describe('the reducer', () => {
  it.each(cases)('$name', (wanted) => {
    const state = wanted.messages.reduce(
      (state, file, i) => reduce(state, message(file, 1_000 * i)),
      reduce(initial, { type: 'described', at: 0, board: boardOf(wanted) }),
    );
    expect(got(state)).toEqual({
      rows: wanted.rows,
      total: wanted.total,
      season: wanted.season,
      rev: wanted.rev,
      refused: wanted.refused,
    });
  });
});

function boardOf({ rank_style, decimals }: Case): Board {
  const board = decodeBoard({ id: 'race', rank_style, decimals });
  if (!board) throw new Error('not a board');
  return board;
}

function message(file: string, at: number): Message {
  if (file === 'subscribed') return { type: 'subscribed', at, epoch: 'another', table: true };
  return { type: 'publication', at, data: JSON.parse(read(file)) };
}

function got({ view, refused }: State) {
  const rows = view.rows.map((row) => [row.rank, row.name, row.score, row.behind, row.change]);
  return { rows, total: view.total, season: view.season, rev: view.rev, refused };
}
