import { useEffect, useState, useSyncExternalStore } from 'react';

import type { Connection } from '../live/connection';
import { initial, reduce } from '../live/state';
import { createStore } from '../live/store';
import { boardAddress, navigate } from '../router';
import { BoardView } from './BoardView';

interface Props {
  readonly board: string;
  readonly member: string | null;
  readonly connection: Connection;
}

/** A board, live. Another board is another page: give it the board as its key. */
export function BoardPage({ board, member, connection }: Props) {
  const [store] = useState(() => createStore(reduce, { ...initial, now: Date.now(), follows: member }));
  const state = useSyncExternalStore(store.subscribe, store.getSnapshot);
  const found = state.presence === 'found';

  useEffect(() => connection.watchBoard(board, store), [connection, board, store]);
  useEffect(() => {
    store.dispatch({ type: 'follow', member });
    if (member !== null && found) return connection.watchMember(board, member, store);
  }, [connection, board, member, found, store]);

  return (
    <BoardView
      board={board}
      state={state}
      onPause={() => store.dispatch({ type: state.held ? 'resume' : 'pause' })}
      onFollow={(followed) => navigate(boardAddress(board, followed))}
    />
  );
}
