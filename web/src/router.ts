import { type MouseEvent, useSyncExternalStore } from 'react';

// The address is the state of the page: / lists the boards, /b/{board} is one, and ?member= follows a
// member of it.
export type Route =
  | { readonly page: 'boards' }
  | { readonly page: 'board'; readonly board: string; readonly member: string | null }
  | { readonly page: 'nowhere' };

const boardPath = /^\/b\/([^/]+)\/?$/;

export function parseRoute(address: string): Route {
  const url = new URL(address, 'http://localhost');
  if (url.pathname === '/') return { page: 'boards' };
  const board = decode(boardPath.exec(url.pathname)?.[1]);
  if (board === null) return { page: 'nowhere' };
  return { page: 'board', board, member: url.searchParams.get('member') || null };
}

function decode(segment: string | undefined): string | null {
  try {
    return segment === undefined ? null : decodeURIComponent(segment);
  } catch {
    return null; // a stray % in the address
  }
}

export function boardAddress(board: string, member: string | null = null): string {
  const query = member === null ? '' : `?${new URLSearchParams({ member })}`;
  return `/b/${encodeURIComponent(board)}${query}`;
}

const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  addEventListener('popstate', listener);
  return () => {
    listeners.delete(listener);
    removeEventListener('popstate', listener);
  };
}

export function useAddress(): string {
  return useSyncExternalStore(subscribe, () => location.pathname + location.search);
}

export function navigate(address: string) {
  if (address === location.pathname + location.search) return;
  const before = location.pathname;
  history.pushState(null, '', address);
  if (location.pathname !== before) scrollTo(0, 0);
  for (const listener of listeners) listener();
}

/** For the onClick of a link: a plain click stays in the page, anything else is the browser's. */
export function followLink(event: MouseEvent<HTMLAnchorElement>) {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  navigate(event.currentTarget.pathname + event.currentTarget.search);
}
