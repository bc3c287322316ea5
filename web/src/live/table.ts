// What the server sends, as the page understands it. Every decoder answers null to what it does not
// understand: a page never shows half of a message.

export interface Leader {
  readonly member: string;
  readonly name: string; // what people call the member: data.name, or else the member itself
  readonly score: number;
}

/** A publication of `board:{id}`: the first entries of a board, in their order. */
export interface Table {
  readonly leaders: readonly Leader[];
  readonly total: number;
  readonly season: number;
  readonly endsAt: number; // when the season ends or has ended, in milliseconds; 0: nobody knows
  readonly closed: boolean; // it has ended, and no other one has begun
  readonly rev: number;
}

/** Who stands next to a followed member. */
export interface Neighbour {
  readonly member: string;
  readonly score: number;
  readonly rank: number;
}

/** A publication of `rank:{id}#{member}`. Score and rank are null while the member is not on the board. */
export interface Standing {
  readonly member: string;
  readonly score: number | null;
  readonly rank: number | null;
  readonly total: number;
  readonly above: Neighbour | null;
  readonly below: Neighbour | null;
  readonly season: number;
  readonly rev: number;
}

export type RankStyle = 'ordinal' | 'competition' | 'dense';

/** A board's settings and counts, as the HTTP API describes it. */
export interface Board {
  readonly id: string;
  readonly order: 'desc' | 'asc';
  readonly policy: string;
  readonly decimals: number;
  readonly rankStyle: RankStyle;
  readonly top: number;
  readonly season: number;
  readonly total: number;
  readonly rev: number;
}

export function decodeTable(data: unknown): Table | null {
  if (!isRecord(data) || !Array.isArray(data.leaders)) return null;
  const { total, season, rev } = data;
  if (!isCount(total) || !isCount(season) || !isCount(rev)) return null;
  const leaders: Leader[] = [];
  for (const leader of data.leaders as unknown[]) {
    if (!isRecord(leader) || typeof leader.name !== 'string' || !isNumber(leader.score)) return null;
    leaders.push({
      member: leader.name,
      name: displayName(leader.name, leader.data),
      score: leader.score,
    });
  }
  const endsAt = typeof data.ends_at === 'string' ? Date.parse(data.ends_at) || 0 : 0;
  return { leaders, total, season, endsAt, closed: data.closed === true, rev };
}

export function decodeStanding(data: unknown): Standing | null {
  if (!isRecord(data) || typeof data.member !== 'string') return null;
  const { member, total, season, rev } = data;
  if (!isCount(total) || !isCount(season) || !isCount(rev)) return null;
  const score = data.score ?? null;
  const rank = data.rank ?? null;
  if ((score !== null && !isNumber(score)) || (rank !== null && !isCount(rank))) return null;
  const above = decodeNeighbour(data.above);
  const below = decodeNeighbour(data.below);
  return { member, score, rank, total, above, below, season, rev };
}

function decodeNeighbour(data: unknown): Neighbour | null {
  if (!isRecord(data) || typeof data.name !== 'string') return null;
  if (!isNumber(data.score) || !isCount(data.rank)) return null;
  return { member: data.name, score: data.score, rank: data.rank };
}

export function decodeBoard(data: unknown): Board | null {
  if (!isRecord(data) || typeof data.id !== 'string') return null;
  const style = data.rank_style;
  return {
    id: data.id,
    order: data.order === 'asc' ? 'asc' : 'desc',
    policy: typeof data.policy === 'string' ? data.policy : 'sum',
    decimals: isCount(data.decimals) ? Math.min(data.decimals, 6) : 0,
    rankStyle: style === 'competition' || style === 'dense' ? style : 'ordinal',
    top: isCount(data.top) ? data.top : 100,
    season: isCount(data.season) ? data.season : 0,
    total: isCount(data.total) ? data.total : 0,
    rev: isCount(data.rev) ? data.rev : 0,
  };
}

export function displayName(member: string, data: unknown): string {
  if (isRecord(data) && typeof data.name === 'string' && data.name.trim() !== '') return data.name;
  return member;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
