// Ways for the tests to say what has happened to a board.
import { initial, type Message, reduce, type State } from '../live/state';
import { decodeBoard } from '../live/table';

export function happened(...messages: Message[]): State {
  return afterwards(initial, ...messages);
}

export function afterwards(state: State, ...messages: Message[]): State {
  return messages.reduce(reduce, state);
}

export function described(settings: object = {}): Message {
  const board = decodeBoard({ id: 'race', ...settings });
  if (!board) throw new Error('not a board');
  return { type: 'described', at: 0, board };
}

export function subscribed(at = 0): Message {
  return { type: 'subscribed', at, epoch: 'e', table: true };
}

let rev = 0;

/** A table of these members and scores: table({ Ann: 12, Bob: 9 }). */
export function table(scores: Record<string, number>, at = 0, total = Object.keys(scores).length): Message {
  const leaders = Object.entries(scores).map(([name, score]) => ({ name, score }));
  return { type: 'publication', at, data: { leaders, total, season: 1, rev: ++rev } };
}
