import { type Change, gap, move, type Row, rowsOf, settle } from './rows';
import { type Board, decodeStanding, decodeTable, type Neighbour, type Standing, type Table } from './table';

/** How long after the connection was lost the table is called stale, in milliseconds. */
export const STALE_AFTER = 10_000;

/**
 * - connecting: there has been no subscription yet
 * - live: every change arrives as it happens
 * - reconnecting: the subscription was lost a moment ago; the table is the last one received
 * - stale: it was lost STALE_AFTER ago
 */
export type Link = 'connecting' | 'live' | 'reconnecting' | 'stale';

/** Whether the server has the board. */
export type Presence = 'unknown' | 'found' | 'missing';

/** The followed member's place, and its way there. */
export interface Place {
  readonly member: string;
  readonly score: number | null;
  readonly rank: number | null;
  readonly total: number;
  readonly above: Neighbour | null;
  readonly below: Neighbour | null;
  readonly rev: number;
  readonly change: Change;
  readonly from: number | null;
  readonly movedAt: number;
}

export interface View {
  readonly rows: readonly Row[];
  readonly total: number;
  readonly season: number;
  readonly endsAt: number; // as in a table
  readonly closed: boolean;
  readonly rev: number;
  readonly received: boolean; // whether there has been a table at all: none is not the same as an empty one
}

/** What was there when the page was paused. */
export interface Held {
  readonly view: View;
  readonly place: Place | null;
  readonly at: number;
}

export interface State {
  readonly board: Board | null;
  readonly presence: Presence;
  readonly link: Link;
  readonly now: number; // the time of the last message, in milliseconds
  readonly lostAt: number; // when the subscription was lost; meaningless while it is live
  readonly changedAt: number; // when the table last changed before our eyes; 0 for not yet
  readonly epoch: string | null; // of the channel's stream: another one has forgotten the old one's publications
  readonly fresh: boolean; // the next table replaces ours whatever its rev
  readonly refused: number; // tables that were older than ours
  readonly view: View;
  readonly place: Place | null; // from the member's own channel
  readonly follows: string | null;
  readonly held: Held | null; // while paused
}

export type Message =
  | { readonly type: 'described'; readonly at: number; readonly board: Board }
  | { readonly type: 'missing'; readonly at: number }
  /** `table` says that the reply brings a table, which is the publication that follows. */
  | { readonly type: 'subscribed'; readonly at: number; readonly epoch: string; readonly table: boolean }
  | { readonly type: 'lost'; readonly at: number }
  | { readonly type: 'publication'; readonly at: number; readonly data: unknown }
  | { readonly type: 'follow'; readonly member: string | null }
  | { readonly type: 'standing'; readonly at: number; readonly data: unknown }
  | { readonly type: 'tick'; readonly at: number }
  | { readonly type: 'pause' }
  | { readonly type: 'resume' };

const nothing: View = { rows: [], total: 0, season: 0, endsAt: 0, closed: false, rev: 0, received: false };

export const initial: State = {
  board: null,
  presence: 'unknown',
  link: 'connecting',
  now: 0,
  lostAt: 0,
  changedAt: 0,
  epoch: null,
  fresh: true,
  refused: 0,
  view: nothing,
  place: null,
  follows: null,
  held: null,
};

export function reduce(state: State, message: Message): State {
  switch (message.type) {
    case 'described':
      return describe({ ...state, now: message.at, presence: 'found' }, message.board);
    case 'missing':
      // A board that comes back under the same name is another one, empty at first.
      return { ...initial, now: message.at, presence: 'missing', follows: state.follows };
    case 'subscribed': {
      const fresh = message.table || message.epoch !== state.epoch;
      return { ...state, now: message.at, link: 'live', epoch: message.epoch, fresh };
    }
    case 'lost':
      if (state.link !== 'live') return state;
      return { ...state, now: message.at, link: 'reconnecting', lostAt: message.at };
    case 'publication': {
      const table = decodeTable(message.data);
      return table ? receive(state, table, message.at) : state;
    }
    case 'follow':
      if (message.member === state.follows) return state;
      return {
        ...state,
        follows: message.member,
        place: null,
        held: state.held && { ...state.held, place: null },
      };
    case 'standing': {
      const standing = decodeStanding(message.data);
      return standing ? stand(state, standing, message.at) : state;
    }
    case 'tick':
      return tick(state, message.at);
    case 'pause':
      return state.held ? state : { ...state, held: { view: state.view, place: state.place, at: state.now } };
    case 'resume':
      return state.held ? { ...state, held: null } : state;
  }
}

function describe(state: State, board: Board): State {
  const before = state.board;
  if (before && before.rankStyle === board.rankStyle && before.decimals === board.decimals) {
    return { ...state, board };
  }
  // Ranks and gaps depend on the settings: number the rows anew, and call none of it a move.
  const { rows } = state.view;
  const leaders = rows.map(({ member, name, score }) => ({ member, name, score }));
  const again = rowsOf({ ...state.view, leaders }, [], {
    style: board.rankStyle,
    decimals: board.decimals,
    at: state.now,
    moves: false,
  });
  return { ...state, board, view: { ...state.view, rows: again } };
}

/** Within an epoch a table never gives way to an older one, whatever order they arrive in. */
function receive(state: State, table: Table, at: number): State {
  const before = state.view;
  if (before.received && !state.fresh && table.rev < before.rev) {
    return { ...state, now: at, refused: state.refused + 1 };
  }
  const rows = rowsOf(table, before.rows, {
    style: state.board?.rankStyle ?? 'ordinal',
    decimals: state.board?.decimals ?? 0,
    at,
    // The first table, and that of a new season, has come from nowhere.
    moves: before.received && before.season === table.season,
  });
  const changed =
    before.received &&
    (before.total !== table.total || before.season !== table.season || !sameScores(before.rows, rows));
  return {
    ...state,
    now: at,
    fresh: false,
    changedAt: changed ? at : state.changedAt,
    view: {
      rows,
      total: table.total,
      season: table.season,
      endsAt: table.endsAt,
      closed: table.closed,
      rev: table.rev,
      received: true,
    },
  };
}

function sameScores(a: readonly Row[], b: readonly Row[]): boolean {
  return (
    a.length === b.length &&
    a.every((row, i) => {
      const other = b[i];
      return (
        other !== undefined && (row === other || (row.member === other.member && row.score === other.score))
      );
    })
  );
}

function stand(state: State, standing: Standing, at: number): State {
  if (standing.member !== state.follows) return state;
  const was = state.place;
  const { member, score, rank, total, above, below, rev } = standing;
  const steps =
    rank === null || was === null || was.rank === null
      ? { change: 0, from: rank, movedAt: 0 }
      : move({ ...was, rank: was.rank }, rank, at);
  return { ...state, now: at, place: { member, score, rank, total, above, below, rev, ...steps } };
}

function tick(state: State, at: number): State {
  const rows = settle(state.view.rows, at);
  const view = rows === state.view.rows ? state.view : { ...state.view, rows };
  const stale = state.link === 'reconnecting' && at - state.lostAt >= STALE_AFTER;
  return { ...state, now: at, view, link: stale ? 'stale' : state.link };
}

/** What is to be drawn: the newest, or what was there when the page was paused. */
export function shown(state: State): View {
  return state.held?.view ?? state.view;
}

/**
 * The place of the followed member: from the table where that is newer, else from the member's own channel,
 * which also reaches below the table. Null until one of them has told.
 */
export function placeOf(state: State): Place | null {
  const view = shown(state);
  const place = state.held ? state.held.place : state.place;
  const i = view.rows.findIndex((row) => row.member === state.follows);
  const row = view.rows[i];
  if (!row || (place && place.rev > view.rev)) return place;
  const { member, score, rank, change, from, movedAt } = row;
  return {
    member,
    score,
    rank,
    total: view.total,
    above: view.rows[i - 1] ?? null,
    below: view.rows[i + 1] ?? place?.below ?? null,
    rev: view.rev,
    change,
    from,
    movedAt,
  };
}

/** The score between a place and the one above it; null for the first and for who is not on the board. */
export function toNext(place: Place, decimals: number): number | null {
  if (place.above === null || place.score === null) return null;
  return gap(place.above.score, place.score, decimals);
}
