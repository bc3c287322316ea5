import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';

import { BoardsPage } from './BoardsPage';

function answer(pages: Record<string, unknown>) {
  const fetch = vi.fn<(address: string) => Promise<Response>>(async (address) => {
    const page = pages[address];
    if (page === undefined) throw new TypeError('no network');
    return Response.json(page);
  });
  vi.stubGlobal('fetch', fetch);
}

describe('the list of boards', () => {
  it('says what each board is, and leads to it', async () => {
    answer({
      '/v1/leaderboards': {
        leaderboards: [
          { id: 'spring-cup', policy: 'sum', order: 'desc', total: 1204 },
          { id: 'laps', policy: 'best', order: 'asc', total: 1 },
        ],
      },
    });
    render(<BoardsPage />);
    const cup = await screen.findByRole('link', { name: /spring-cup/ });
    expect(cup).toHaveAttribute('href', '/b/spring-cup');
    expect(cup).toHaveTextContent('1,204 members');
    expect(cup).toHaveTextContent('scores add up');
    expect(screen.getByRole('link', { name: /laps/ })).toHaveTextContent(
      '1 memberthe best score counts, lowest leads',
    );
  });

  it('shows further pages when asked to', async () => {
    answer({
      '/v1/leaderboards': { leaderboards: [{ id: 'a' }], next_cursor: 'x/y' },
      '/v1/leaderboards?cursor=x%2Fy': { leaderboards: [{ id: 'b' }] },
    });
    render(<BoardsPage />);
    await userEvent.click(await screen.findByRole('button', { name: 'Show more boards' }));
    expect(await screen.findByRole('link', { name: /^b/ })).toBeInTheDocument();
    expect(screen.getByRole('link', { name: /^a/ })).toBeInTheDocument();
    expect(screen.queryByRole('button')).not.toBeInTheDocument();
  });

  it('shows how to make the first board when there is none', async () => {
    answer({ '/v1/leaderboards': { leaderboards: [] } });
    render(<BoardsPage />);
    expect(await screen.findByText(/There is no board yet/)).toBeInTheDocument();
    expect(screen.getByText(/curl -X POST .*\/v1\/leaderboards\/first\/scores/)).toBeInTheDocument();
  });

  it('says when the server does not answer', async () => {
    answer({});
    render(<BoardsPage />);
    expect(await screen.findByText('The server does not answer. Trying again…')).toBeInTheDocument();
  });
});
