import { type FormEvent, useId, useState } from 'react';

import type { Row } from '../live/rows';
import styles from './FollowForm.module.css';
import { memberCalled } from './names';

interface Props {
  readonly rows: readonly Row[];
  readonly follows: string | null;
  readonly onFollow: (member: string) => void;
}

export function FollowForm({ rows, follows, onFollow }: Props) {
  const id = useId();
  // Taken when the input is entered: a list that changes under the fingers is of no help.
  const [names, setNames] = useState<readonly string[]>([]);

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const typed = new FormData(event.currentTarget).get('member');
    if (typeof typed === 'string' && typed.trim() !== '') onFollow(memberCalled(typed, rows));
  }

  return (
    <form className={styles.form} onSubmit={submit}>
      <label htmlFor={id}>Follow a member</label>
      <input
        key={follows}
        id={id}
        name="member"
        defaultValue={follows ?? ''}
        placeholder="Name or id"
        list={`${id}-names`}
        autoComplete="off"
        spellCheck={false}
        maxLength={128}
        onFocus={() => setNames(rows.map((row) => row.name).sort())}
      />
      <datalist id={`${id}-names`}>
        {[...new Set(names)].map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      <button type="submit">Follow</button>
    </form>
  );
}
