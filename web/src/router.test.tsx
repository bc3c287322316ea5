import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it } from 'vitest';

import { boardAddress, followLink, navigate, parseRoute, useAddress } from './router';

describe('an address', () => {
  it.each([
    ['/', { page: 'boards' }],
    ['/?utm=x', { page: 'boards' }],
    ['/b/race', { page: 'board', board: 'race', member: null }],
    ['/b/race/', { page: 'board', board: 'race', member: null }],
    ['/b/race?member=', { page: 'board', board: 'race', member: null }],
    ['/b/2026.w47?member=the+%22Ace%22%20%26', { page: 'board', board: '2026.w47', member: 'the "Ace" &' }],
    ['/b/', { page: 'nowhere' }],
    ['/b/a/b', { page: 'nowhere' }],
    ['/b/%', { page: 'nowhere' }],
    ['/elsewhere', { page: 'nowhere' }],
  ] as const)('%s', (address, route) => {
    expect(parseRoute(address)).toEqual(route);
  });

  it.each(['Ann', '佐藤', 'a&b=c', 'per%cent', '#1 + 2', '/'])('brings the member %s back', (member) => {
    expect(parseRoute(boardAddress('race', member))).toEqual({ page: 'board', board: 'race', member });
  });
});

describe('a link', () => {
  beforeEach(() => history.replaceState(null, '', '/'));

  function Page() {
    return (
      <>
        <p>{useAddress()}</p>
        <a href="/b/race?member=Ann" onClick={followLink}>
          race
        </a>
      </>
    );
  }

  it('stays in the page, and the way back is the browser’s', async () => {
    render(<Page />);
    await userEvent.click(screen.getByRole('link'));
    expect(screen.getByText('/b/race?member=Ann')).toBeInTheDocument();
    history.back();
    expect(await screen.findByText('/')).toBeInTheDocument();
  });

  it('to where we are adds nothing to the history', () => {
    const { length } = history;
    navigate('/');
    expect(history.length).toBe(length);
  });
});
