import type { Row } from '../live/rows';

/** What the table calls a member; below the table, the member itself. */
export function nameOf(member: string, rows: readonly Row[]): string {
  return rows.find((row) => row.member === member)?.name ?? member;
}

/** The member that somebody means by what they typed: a member, or a name in the table, or else it is taken as it is. */
export function memberCalled(typed: string, rows: readonly Row[]): string {
  const wanted = typed.trim();
  const lower = wanted.toLowerCase();
  const row =
    rows.find(({ member }) => member === wanted) ??
    rows.find(({ name }) => name.toLowerCase() === lower) ??
    rows.find(({ member }) => member.toLowerCase() === lower);
  return row?.member ?? wanted;
}
