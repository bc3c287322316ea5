import { useEffect } from 'react';

import { BoardPage } from './board/BoardPage';
import { BoardsPage } from './boards/BoardsPage';
import type { Connection } from './live/connection';
import { followLink, parseRoute, useAddress } from './router';
import { Frame } from './ui/Frame';

export function App({ connection }: { connection: Connection }) {
  const route = parseRoute(useAddress());
  const title = route.page === 'board' ? `${route.board} · Laurel` : 'Laurel';
  useEffect(() => {
    document.title = title;
  }, [title]);

  return (
    <Frame>
      {route.page === 'boards' && <BoardsPage />}
      {route.page === 'board' && (
        <BoardPage key={route.board} board={route.board} member={route.member} connection={connection} />
      )}
      {route.page === 'nowhere' && <Nowhere />}
    </Frame>
  );
}

function Nowhere() {
  return (
    <>
      <h1>Nothing here</h1>
      <p>
        This address leads to no page.{' '}
        <a href="/" onClick={followLink}>
          See all leaderboards
        </a>
      </p>
    </>
  );
}
