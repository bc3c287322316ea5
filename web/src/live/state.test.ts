// @vitest-environment node
import { describe, expect, it } from 'vitest';

import { MOVE_LASTS } from './rows';
import { initial, type Message, placeOf, reduce, STALE_AFTER, type State, shown, toNext } from './state';
import { decodeBoard, type RankStyle } from './table';

describe('the link', () => {
  it('is live from the subscription, and stale some time after it was lost', () => {
    let state = run(subscribed('e1', 1_000), publication(five, 1_000));
    expect(state.link).toBe('live');
    state = afterwards(state, { type: 'lost', at: 5_000 });
    expect(state.link).toBe('reconnecting');
    state = afterwards(state, { type: 'tick', at: 5_000 + STALE_AFTER - 1 });
    expect(state.link).toBe('reconnecting');
    state = afterwards(state, { type: 'tick', at: 5_000 + STALE_AFTER });
    expect(state.link).toBe('stale');
    expect(state.view.rows).toHaveLength(5); // what there was stays
    state = afterwards(state, subscribed('e2', 20_000));
    expect(state.link).toBe('live');
  });

  it('that never was cannot be lost', () => {
    expect(run({ type: 'lost', at: 1 }, { type: 'tick', at: 60_000 }).link).toBe('connecting');
  });

  it('counts from the first loss', () => {
    const state = run(subscribed('e', 0), { type: 'lost', at: 1_000 }, { type: 'lost', at: 9_000 });
    expect(state.lostAt).toBe(1_000);
  });
});

describe('a table', () => {
  it('that is no table changes nothing', () => {
    const state = run(publication(five, 1));
    for (const data of [
      null,
      'five',
      [],
      {},
      { ...five, rev: '31' },
      { ...five, rev: -1 },
      { ...five, leaders: [{ name: 'x' }] },
      { ...five, leaders: [{ name: 1, score: 1 }] },
      { ...five, leaders: [null] },
    ]) {
      expect(afterwards(state, publication(data, 2))).toBe(state);
    }
  });

  it('of another stream replaces a newer one even when no reply brings it', () => {
    const before = run(subscribed('e1', 0), publication({ ...five, rev: 90 }, 0));
    const away = afterwards(
      before,
      { type: 'lost', at: 1 },
      { type: 'subscribed', at: 2, epoch: 'e2', table: false },
    );
    expect(afterwards(away, publication(five, 3)).view.rev).toBe(31);
  });

  it('of the same stream does not, when the reply had nothing to bring', () => {
    const before = run(subscribed('e1', 0), publication({ ...five, rev: 90 }, 0));
    const away = afterwards(
      before,
      { type: 'lost', at: 1 },
      { type: 'subscribed', at: 2, epoch: 'e1', table: false },
    );
    expect(afterwards(away, publication(five, 3)).view.rev).toBe(90);
  });

  it('that says the same again is no change', () => {
    const state = run(publication(five, 1_000), publication({ ...five, rev: 32 }, 2_000));
    expect(state.changedAt).toBe(0);
    expect(afterwards(state, publication({ ...five, rev: 33, total: 6 }, 3_000)).changedAt).toBe(3_000);
  });

  it('is forgotten with its board', () => {
    const state = run(publication(five, 1), { type: 'missing', at: 2 });
    expect(state.view.received).toBe(false);
    expect(afterwards(state, described('ordinal'), publication({ ...five, rev: 1 }, 3)).view.rev).toBe(1);
  });

  it('is numbered anew when the rank style changes, without moves', () => {
    const state = run(described('ordinal'), publication(five, 1), described('dense'));
    expect(state.view.rows.map((row) => row.rank)).toEqual([1, 2, 2, 3, 4]);
    expect(state.view.rows.every((row) => row.change === 0)).toBe(true);
  });
});

describe('pause', () => {
  it('holds what is shown while the newest goes on', () => {
    const moved = { ...five, rev: 32, leaders: [...five.leaders].reverse() };
    const paused = run(publication(five, 1), { type: 'pause' }, publication(moved, 2));
    expect(shown(paused).rows[0]?.member).toBe('Alice');
    expect(shown(afterwards(paused, { type: 'resume' })).rows[0]?.member).toBe('Eve');
  });

  it('twice is once', () => {
    const paused = run(publication(five, 1), { type: 'pause' });
    expect(afterwards(paused, { type: 'pause' })).toBe(paused);
  });
});

describe('the place of a followed member', () => {
  const eve = {
    member: 'Eve',
    score: 9,
    rank: 5,
    total: 5,
    above: { name: 'David', score: 12, rank: 4 },
    below: null,
    season: 1,
    rev: 31,
  };

  it('is unknown until somebody tells', () => {
    expect(placeOf(run({ type: 'follow', member: 'Eve' }))).toBeNull();
  });

  it('comes from the table for who is in it', () => {
    const place = placeOf(run({ type: 'follow', member: 'David' }, publication(five, 1)));
    expect(place).toMatchObject({
      rank: 4,
      score: 12,
      total: 5,
      above: { member: 'Charlie' },
      below: { member: 'Eve' },
    });
  });

  it('comes from the channel of the member for who is below', () => {
    const zed = { ...eve, member: 'Zed', rank: 900, score: 3, total: 1204, rev: 12 };
    const state = run({ type: 'follow', member: 'Zed' }, publication(five, 1), standing(zed, 2));
    expect(placeOf(state)).toMatchObject({ rank: 900, score: 3, total: 1204 });
    expect(placeOf(afterwards(state, standing({ ...zed, rank: 890 }, 3)))?.change).toBe(10);
  });

  it('is the newer of the two', () => {
    const state = run(
      { type: 'follow', member: 'Eve' },
      publication(five, 1),
      standing({ ...eve, rank: 2, rev: 30 }, 2),
    );
    expect(placeOf(state)?.rank).toBe(5);
    expect(placeOf(afterwards(state, standing({ ...eve, rank: 2, rev: 32 }, 3)))?.rank).toBe(2);
  });

  it('is nowhere for who is not on the board', () => {
    const state = run(
      { type: 'follow', member: 'Nan' },
      standing({ ...eve, member: 'Nan', score: null, rank: null }, 1),
    );
    expect(placeOf(state)).toMatchObject({ rank: null, score: null });
  });

  it('of somebody else is of no interest', () => {
    expect(placeOf(run({ type: 'follow', member: 'Bob' }, standing(eve, 1)))).toBeNull();
  });

  it('tells the exact way to the next', () => {
    const place = placeOf(
      run(
        { type: 'follow', member: 'Eve' },
        standing({ ...eve, score: 0.1, above: { name: 'x', score: 0.3, rank: 4 } }, 1),
      ),
    );
    expect(place && toNext(place, 1)).toBe(0.2);
  });

  it('is held while paused', () => {
    const paused = run({ type: 'follow', member: 'Zed' }, standing({ ...eve, member: 'Zed' }, 1), {
      type: 'pause',
    });
    expect(placeOf(afterwards(paused, standing({ ...eve, member: 'Zed', rank: 1, rev: 99 }, 2)))?.rank).toBe(
      5,
    );
  });
});

// Whatever order tables arrive in, with losses, new streams, pauses and rests between them.
describe('any sequence of messages', () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));

  it(`keeps its promises (SEED=${seed})`, () => {
    const random = mulberry32(seed);
    const below = (n: number) => Math.floor(random() * n);
    for (let round = 0; round < 100; round++) {
      const style = (['ordinal', 'competition', 'dense'] as const)[below(3)] ?? 'ordinal';
      let state = run(described(style));
      let rev = 0;
      let at = 1_000;
      for (let step = 0; step < 60; step++) {
        at += below(4) === 0 ? MOVE_LASTS : 100;
        const before = state;
        const kind = below(12);
        let message: Message;
        if (kind === 0) message = { type: 'lost', at };
        else if (kind === 1) message = subscribed(`e${below(3)}`, at, below(2) === 0);
        else if (kind === 2) message = { type: 'tick', at };
        else if (kind === 3) message = { type: below(2) === 0 ? 'pause' : 'resume' };
        else {
          rev += below(3);
          const late = below(4) === 0 ? below(10) : 0; // out of order
          message = publication(randomTable(below, Math.max(1, rev - late)), at);
        }
        state = reduce(state, message);
        check(before, state, message);
      }
    }
  }, 60_000);

  function check(before: State, after: State, message: Message) {
    const { rows } = after.view;
    if (message.type === 'publication' && before.view.received && !before.fresh) {
      expect(after.view.rev).toBeGreaterThanOrEqual(before.view.rev);
    }
    if (message.type === 'publication' && after.refused === before.refused) {
      const { leaders } = message.data as ReturnType<typeof randomTable>;
      expect(rows.map(({ member, score }) => [member, score])).toEqual(leaders.map((l) => [l.name, l.score]));
    }
    const got = rows.map((row, i) => {
      const above = rows[i - 1];
      const tied = after.board?.rankStyle !== 'ordinal' && row.score === above?.score;
      return {
        notAbove: row.rank >= (above?.rank ?? 1),
        sameRank: row.rank === above?.rank,
        behind: row.behind,
        change: row.change,
        want: { tied, behind: above ? Math.abs(above.score - row.score) : 0 },
        sum: row.from === null ? 'new' : row.from - row.rank,
      };
    });
    const want = got.map((row) => ({
      ...row,
      notAbove: true,
      sameRank: row.want.tied,
      behind: row.want.behind,
      change: row.sum,
    }));
    expect(got).toEqual(want);
    expect(rows[0]?.rank ?? 1).toBe(1);
    expect(rows.every((row) => row.change === 0 || row.movedAt > 0)).toBe(true);
    if (before.held && after.held) expect(shown(after)).toBe(shown(before));
    if (!after.held) expect(shown(after)).toBe(after.view);
  }

  function randomTable(below: (n: number) => number, rev: number) {
    const leaders = Array.from({ length: 12 }, (_, i) => ({ name: `m${i}`, score: below(8) }))
      .filter(() => below(5) > 0)
      .sort((a, b) => b.score - a.score);
    return { leaders, total: leaders.length, season: 1 + Math.floor(rev / 40), rev };
  }
});

const five = {
  leaders: [
    { name: 'Alice', score: 31 },
    { name: 'Bob', score: 28 },
    { name: 'Charlie', score: 28 },
    { name: 'David', score: 12 },
    { name: 'Eve', score: 9 },
  ],
  total: 5,
  season: 1,
  rev: 31,
};

function run(...messages: Message[]): State {
  return afterwards(initial, ...messages);
}

function afterwards(state: State, ...messages: Message[]): State {
  return messages.reduce(reduce, state);
}

function publication(data: unknown, at: number): Message {
  return { type: 'publication', at, data };
}

function standing(data: unknown, at: number): Message {
  return { type: 'standing', at, data };
}

function subscribed(epoch: string, at: number, table = true): Message {
  return { type: 'subscribed', at, epoch, table };
}

function described(rankStyle: RankStyle): Message {
  const board = decodeBoard({ id: 'race', rank_style: rankStyle });
  if (!board) throw new Error('not a board');
  return { type: 'described', at: 0, board };
}

// A small generator of numbers in [0, 1) that a seed repeats.
function mulberry32(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
