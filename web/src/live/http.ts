import { type Board, decodeBoard, isRecord } from './table';

export interface BoardList {
  readonly boards: readonly Board[];
  readonly next: string | null; // the cursor of the next page
}

/** The board, or null when the server has none of that name. Throws on any other answer. */
export async function fetchBoard(board: string, signal: AbortSignal): Promise<Board | null> {
  const response = await fetch(`/v1/leaderboards/${encodeURIComponent(board)}`, { signal });
  // A name that no board can have is answered with 400, or 422: nothing will ever appear there.
  if (response.status === 404 || response.status === 400 || response.status === 422) return null;
  return answer(response, decodeBoard);
}

export async function fetchBoards(cursor: string | null, signal: AbortSignal): Promise<BoardList> {
  const query = cursor === null ? '' : `?cursor=${encodeURIComponent(cursor)}`;
  return answer(await fetch(`/v1/leaderboards${query}`, { signal }), decodeBoards);
}

async function answer<T>(response: Response, decode: (data: unknown) => T | null): Promise<T> {
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const decoded = decode(await response.json());
  if (decoded === null) throw new Error('the server answered something else than was asked for');
  return decoded;
}

function decodeBoards(data: unknown): BoardList | null {
  if (!isRecord(data) || !Array.isArray(data.leaderboards)) return null;
  const boards = data.leaderboards.map(decodeBoard).filter((board) => board !== null);
  return { boards, next: typeof data.next_cursor === 'string' ? data.next_cursor : null };
}
