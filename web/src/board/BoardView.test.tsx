import { render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';

import type { Message, State } from '../live/state';
import { BoardView } from './BoardView';
import { afterwards, described, happened, subscribed, table } from './testing';

function show(state: State, board = 'race') {
  const onPause = vi.fn<() => void>();
  const onFollow = vi.fn<(member: string | null) => void>();
  const view = (state: State) => (
    <BoardView board={board} state={state} onPause={onPause} onFollow={onFollow} />
  );
  const { rerender, unmount } = render(view(state));
  return { onPause, onFollow, unmount, update: (state: State) => rerender(view(state)) };
}

const live = happened(described(), subscribed(1_000), table({ Ann: 1200, Bob: 900, Cy: 900, Di: 5 }, 1_000));

describe('the table', () => {
  it('has a row for each entry, in the order of the ranks', () => {
    show(live);
    const rows = screen.getAllByRole('row');
    expect(rows.map((row) => row.getAttribute('aria-rowindex'))).toEqual(['1', '2', '3', '4', '5']);
    expect(screen.getByRole('table', { name: 'Ranking of race' })).toHaveAttribute('aria-rowcount', '5');
    expect(screen.getAllByRole('rowheader').map((cell) => cell.textContent)).toEqual([
      'Ann',
      'Bob',
      'Cy',
      'Di',
    ]);
    expect(rowOf('Bob')).toHaveTextContent(/^2.*300 behind.*900$/);
    expect(rowOf('Cy')).toHaveTextContent('level');
  });

  it('says in words who has moved, and how far', () => {
    show(afterwards(live, table({ Di: 2000, Ann: 1200, Eve: 1000, Bob: 900, Cy: 900 }, 2_000)));
    expect(within(rowOf('Di')).getByText('up 3')).toBeInTheDocument();
    expect(within(rowOf('Ann')).getByText('down 1')).toBeInTheDocument();
    expect(within(rowOf('Eve')).getByText('new')).toBeInTheDocument();
  });

  it('writes scores with the decimals of the board', () => {
    show(
      happened(described({ decimals: 2, order: 'asc' }), subscribed(), table({ Ann: 61.5, Bob: 1061.25 })),
    );
    expect(rowOf('Ann')).toHaveTextContent('61.50');
    expect(rowOf('Bob')).toHaveTextContent(/999\.75 behind.*1,061\.25/);
    expect(screen.getByText(/lowest score leads/)).toBeInTheDocument();
  });

  it('marks who shares a rank', () => {
    show(afterwards(live, described({ rank_style: 'competition' })));
    expect(within(rowOf('Bob')).getAllByRole('cell')[0]).toHaveTextContent(/tied 2$/);
    expect(within(rowOf('Cy')).getAllByRole('cell')[0]).toHaveTextContent(/tied 2$/);
    expect(within(rowOf('Di')).getAllByRole('cell')[0]).toHaveTextContent(/^4$/);
  });

  it('draws only the rows near the screen, and says how many there are', () => {
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`m${i}`, 1000 - i]));
    show(happened(described(), subscribed(), table(many, 0, 20_000)));
    expect(screen.getByRole('table')).toHaveAttribute('aria-rowcount', '501');
    expect(screen.getAllByRole('row').length).toBeLessThan(40);
    expect(screen.getByText('20,000 members · top 500 shown')).toBeInTheDocument();
    expect(screen.getByText(/19,500 more members below/)).toBeInTheDocument();
  });

  it('keeps the focus where it is while rows move', async () => {
    const { update } = show(live);
    screen.getByRole('link', { name: 'Di' }).focus();
    update(afterwards(live, table({ Di: 2000, Ann: 1200, Bob: 900, Cy: 900 })));
    expect(screen.getByRole('link', { name: 'Di' })).toHaveFocus();
  });

  it('takes the focus when the row that had it is gone', () => {
    const { update } = show(live);
    screen.getByRole('link', { name: 'Di' }).focus();
    update(afterwards(live, table({ Ann: 1200, Bob: 900, Cy: 900 })));
    expect(screen.getByRole('table')).toHaveFocus();
  });
});

describe('a season', () => {
  const at = '2026-11-24T18:00:00.000Z';
  const shown = new Date(at).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'short' });
  const next = (data: object): Message => ({
    type: 'publication',
    at: 2_000,
    data: { leaders: [], total: 0, season: 2, rev: 1_000_000, ...data },
  });

  it('says when it ends, if anybody knows', () => {
    show(afterwards(live, next({ ends_at: at })));
    expect(screen.getByText(`0 members · season 2 · ends ${shown}`)).toBeInTheDocument();
  });

  it('says that it has ended', () => {
    show(afterwards(live, next({ ends_at: at, closed: true })));
    expect(screen.getByText(`0 members · season 2 · ended ${shown}`)).toBeInTheDocument();
  });

  it('says nothing of an end that is not known, or no time', () => {
    for (const ends_at of [undefined, null, 'soon', 5]) {
      const { unmount } = show(afterwards(live, next({ ends_at })));
      expect(screen.getByText('0 members · season 2')).toBeInTheDocument();
      unmount();
    }
  });
});

describe('a move', () => {
  const moved = afterwards(live, table({ Di: 2000, Ann: 1200, Bob: 900, Cy: 900 }));

  it('is played on top of where the row stands', () => {
    const { update } = show(live);
    update(moved);
    expect(animations(rowOf('Di'))).toContainEqual([
      [{ transform: 'translateY(168px)' }, { transform: 'translateY(0)' }],
      expect.objectContaining({ composite: 'add' }),
    ]);
    expect(animations(rowOf('Ann'))[0]?.[0]).toEqual([
      { transform: 'translateY(-56px)' },
      { transform: 'translateY(0)' },
    ]);
  });

  it('lights the row up again each time its score changes', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      const { update } = show(live);
      const flashes = () =>
        animations(rowOf('Ann')).filter(([, options]) => options?.pseudoElement === '::after').length;
      update(afterwards(live, table({ Ann: 1201, Bob: 900, Cy: 900, Di: 5 })));
      expect(flashes()).toBe(1);
      vi.advanceTimersByTime(500);
      update(afterwards(live, table({ Ann: 1202, Bob: 900, Cy: 900, Di: 5 })));
      expect(flashes()).toBe(2);
      vi.advanceTimersByTime(50); // more than three a second are not good for everybody
      update(afterwards(live, table({ Ann: 1203, Bob: 900, Cy: 900, Di: 5 })));
      expect(flashes()).toBe(2);
    } finally {
      vi.useRealTimers();
    }
  });

  it('is not played for who prefers reduced motion', () => {
    vi.stubGlobal('matchMedia', (query: string) => ({ matches: query.includes('reduce') }));
    const { update } = show(live);
    update(moved);
    expect(Element.prototype.animate).not.toHaveBeenCalled();
  });

  it('is not played in a hidden tab, nor made up for when it is seen again', () => {
    const hidden = vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);
    const { update } = show(live);
    document.dispatchEvent(new Event('visibilitychange'));
    update(moved);
    hidden.mockReturnValue(false);
    document.dispatchEvent(new Event('visibilitychange'));
    update(afterwards(moved, table({ Ann: 3000, Di: 2000, Bob: 900, Cy: 900 })));
    expect(Element.prototype.animate).not.toHaveBeenCalled();
    update(afterwards(moved, table({ Di: 4000, Ann: 3000, Bob: 900, Cy: 900 })));
    expect(Element.prototype.animate).toHaveBeenCalled();
    hidden.mockRestore();
  });
});

describe('the state of the connection', () => {
  it.each([
    ['CONNECTING', 'to the server', happened(described())],
    ['LIVE', 'up to date', live],
    ['LIVE', 'changed just now', afterwards(live, table({ Ann: 1, Bob: 0 }, 2_000))],
    [
      'LIVE',
      'changed 5 s ago',
      afterwards(live, table({ Ann: 1, Bob: 0 }, 2_000), { type: 'tick', at: 7_000 }),
    ],
    [
      'RECONNECTING',
      'as of 3 s ago',
      afterwards(live, { type: 'lost', at: 2_000 }, { type: 'tick', at: 5_000 }),
    ],
    [
      'STALE',
      'as of 2 min ago, still trying',
      afterwards(live, { type: 'lost', at: 0 }, { type: 'tick', at: 125_000 }),
    ],
    ['PAUSED', 'as of 4 s ago', afterwards(live, { type: 'pause' }, { type: 'tick', at: 5_000 })],
  ] as const)('is told in words: %s %s', (word, detail, state) => {
    show(state);
    expect(screen.getByText(word)).toBeInTheDocument();
    expect(screen.getByText(detail)).toBeInTheDocument();
  });

  it('leaves the rows on the screen when it is lost', () => {
    show(afterwards(live, { type: 'lost', at: 2_000 }, { type: 'tick', at: 60_000 }));
    expect(screen.getAllByRole('rowheader')).toHaveLength(4);
  });
});

describe('pause', () => {
  it('is a button that becomes resume', async () => {
    const { onPause, update } = show(live);
    await userEvent.click(screen.getByRole('button', { name: 'Pause' }));
    expect(onPause).toHaveBeenCalledOnce();
    update(afterwards(live, { type: 'pause' }));
    expect(screen.getByRole('button', { name: 'Resume' })).toHaveFocus();
  });
});

describe('following a member', () => {
  it('takes a name, in whatever case, or an id', async () => {
    const { onFollow } = show(live);
    const input = screen.getByRole('combobox', { name: 'Follow a member' });
    await userEvent.type(input, 'bob{Enter}');
    expect(onFollow).toHaveBeenLastCalledWith('Bob');
    await userEvent.clear(input);
    await userEvent.type(input, ' p-881 {Enter}');
    expect(onFollow).toHaveBeenLastCalledWith('p-881');
  });

  it('asks for nobody when nothing was typed', async () => {
    const { onFollow } = show(live);
    await userEvent.click(screen.getByRole('button', { name: 'Follow' }));
    expect(onFollow).not.toHaveBeenCalled();
  });

  it('marks the row, and tells the place and the way to the next', () => {
    show(afterwards(live, { type: 'follow', member: 'Bob' }));
    expect(rowOf('Bob')).toHaveAttribute('aria-current', 'true');
    expect(rowOf('Ann')).not.toHaveAttribute('aria-current');
    const card = screen.getByRole('region', { name: 'Followed: Bob' });
    expect(card).toHaveTextContent('2nd');
    expect(card).toHaveTextContent('of 4 · 300 behind Ann (1st)');
  });

  it('tells the place also of who is below the table', () => {
    const data = {
      member: 'Zed',
      score: 7,
      rank: 902,
      total: 1204,
      above: { name: 'Yan', score: 9, rank: 901 },
      below: null,
      season: 1,
      rev: 1,
    };
    show(afterwards(live, { type: 'follow', member: 'Zed' }, { type: 'standing', at: 0, data }));
    const card = screen.getByRole('region', { name: 'Followed: Zed' });
    expect(card).toHaveTextContent('902nd');
    expect(card).toHaveTextContent('of 1,204 · 2 behind Yan (901st)');
    expect(within(card).queryByRole('button', { name: 'Jump to row' })).not.toBeInTheDocument();
  });

  it('says so when the member is not on the board', () => {
    const data = {
      member: 'Nan',
      score: null,
      rank: null,
      total: 4,
      above: null,
      below: null,
      season: 1,
      rev: 1,
    };
    show(afterwards(live, { type: 'follow', member: 'Nan' }, { type: 'standing', at: 0, data }));
    expect(screen.getByRole('region', { name: 'Followed: Nan' })).toHaveTextContent('not on this board yet');
  });

  it('ends with a button', async () => {
    const { onFollow } = show(afterwards(live, { type: 'follow', member: 'Bob' }));
    await userEvent.click(screen.getByRole('button', { name: 'Stop following Bob' }));
    expect(onFollow).toHaveBeenCalledWith(null);
  });

  it('jumps to a row that is far from the screen', async () => {
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`m${i}`, 1000 - i]));
    show(happened(described(), subscribed(), table(many), { type: 'follow', member: 'm400' }));
    expect(screen.queryByRole('link', { name: 'm400' })).not.toBeInTheDocument();
    await userEvent.click(screen.getByRole('button', { name: 'Jump to row' }));
    expect(screen.getByRole('link', { name: 'm400' })).toHaveFocus();
    expect(rowOf('m400').scrollIntoView).toHaveBeenCalled();
    const indexes = screen.getAllByRole('row').map((row) => Number(row.getAttribute('aria-rowindex')));
    expect(indexes).toEqual(indexes.toSorted((a, b) => a - b));
  });
});

describe('a board', () => {
  it('without entries shows how to send the first', () => {
    show(happened(described(), subscribed(), table({})));
    expect(screen.getByRole('heading', { name: 'No scores yet' })).toBeInTheDocument();
    expect(screen.getByText(/curl -X POST .*\/v1\/leaderboards\/race\/scores/)).toBeInTheDocument();
  });

  it('that does not exist says so, and how to make it', () => {
    show(happened({ type: 'missing', at: 0 }));
    expect(screen.getByRole('heading', { name: 'No board called race' })).toBeInTheDocument();
    expect(screen.getByText(/curl -X POST/)).toBeInTheDocument();
  });

  it('that cannot exist says why, and not how to make it', () => {
    show(happened({ type: 'missing', at: 0 }), 'our race');
    expect(screen.getByRole('heading', { name: 'No board called our race' })).toBeInTheDocument();
    expect(screen.getByText(/there cannot be one/)).toBeInTheDocument();
    expect(screen.queryByText(/curl -X POST/)).not.toBeInTheDocument();
  });
});

function rowOf(name: string): HTMLElement {
  const row = screen.getByRole('rowheader', { name }).closest<HTMLElement>('[role=row]');
  if (!row) throw new Error(`${name} has no row`);
  return row;
}

function animations(row: HTMLElement) {
  const { calls, contexts } = vi.mocked(row.animate).mock;
  return calls.filter((_, i) => contexts[i] === row) as [Keyframe[], KeyframeAnimationOptions | undefined][];
}
