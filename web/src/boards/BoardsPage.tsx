import { useEffect, useState } from 'react';

import { fetchBoards } from '../live/http';
import type { Board } from '../live/table';
import { boardAddress, followLink } from '../router';
import { formatMembers } from '../ui/format';
import { Submit } from '../ui/Submit';
import styles from './BoardsPage.module.css';

const AGAIN = 4_000; // milliseconds between two looks at the list

interface List {
  readonly boards: readonly Board[];
  readonly more: boolean;
}

/** Every board of the server. The counts follow along gently; the boards themselves are live. */
export function BoardsPage() {
  const [pages, setPages] = useState(1);
  const [list, setList] = useState<List | null>(null);
  const [silent, setSilent] = useState(false);

  useEffect(() => {
    const stopped = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    async function look() {
      try {
        if (!document.hidden) setList(await fetchPages(pages, stopped.signal));
        setSilent(false);
      } catch {
        if (stopped.signal.aborted) return;
        setSilent(true);
      }
      timer = setTimeout(look, AGAIN);
    }
    void look();
    return () => {
      stopped.abort();
      clearTimeout(timer);
    };
  }, [pages]);

  return (
    <>
      <h1>Leaderboards</h1>
      <p role="status" className={styles.status}>
        {silent && 'The server does not answer. Trying again…'}
        {!silent && list === null && 'Looking for boards…'}
      </p>
      {list && list.boards.length === 0 && <None />}
      {list && list.boards.length > 0 && (
        <ul className={styles.list}>
          {list.boards.map((board) => (
            <li key={board.id}>
              <a href={boardAddress(board.id)} onClick={followLink} className={styles.board}>
                <bdi className={styles.name}>{board.id}</bdi>
                <span className={styles.count}>{formatMembers(board.total)}</span>
                <span className={styles.rules}>{rules(board)}</span>
              </a>
            </li>
          ))}
        </ul>
      )}
      {list?.more && (
        <button type="button" onClick={() => setPages(pages + 1)}>
          Show more boards
        </button>
      )}
    </>
  );
}

function None() {
  return (
    <>
      <p>There is no board yet. The first score makes one, and its page moves from then on:</p>
      <Submit board="first" />
    </>
  );
}

function rules(board: Board): string {
  const counts =
    board.policy === 'best'
      ? 'the best score counts'
      : board.policy === 'latest'
        ? 'the latest score counts'
        : 'scores add up';
  return board.order === 'asc' ? `${counts}, lowest leads` : counts;
}

async function fetchPages(pages: number, signal: AbortSignal): Promise<List> {
  const boards: Board[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < pages; page++) {
    const { boards: these, next } = await fetchBoards(cursor, signal);
    boards.push(...these);
    cursor = next;
    if (cursor === null) break;
  }
  return { boards, more: cursor !== null };
}
