const numbers = new Map<number, Intl.NumberFormat>();

/** A score with its board's decimals, as the reader's language writes it. */
export function formatScore(score: number, decimals: number): string {
  let format = numbers.get(decimals);
  if (!format) {
    format = new Intl.NumberFormat(undefined, {
      minimumFractionDigits: decimals,
      maximumFractionDigits: decimals,
    });
    numbers.set(decimals, format);
  }
  return format.format(score);
}

export function formatCount(count: number): string {
  return formatScore(count, 0);
}

const plural = new Intl.PluralRules('en', { type: 'ordinal' });
const suffixes: Partial<Record<Intl.LDMLPluralRule, string>> = { one: 'st', two: 'nd', few: 'rd' };

/** 1st, 2nd, 3rd, 4th … */
export function ordinal(rank: number): string {
  return `${formatCount(rank)}${suffixes[plural.select(rank)] ?? 'th'}`;
}

/** A span of time in the words of a glance: "3 s", "4 min", "2 h". */
export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} d`;
}

export function formatMembers(count: number): string {
  return `${formatCount(count)} ${count === 1 ? 'member' : 'members'}`;
}

/** An instant as a clock on the viewer's wall shows it. */
export function formatTime(at: number): string {
  return new Date(at).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'short' });
}
