import styles from './Submit.module.css';

/** The command that sends a board its first score, ready to be copied into a terminal. */
export function Submit({ board }: { board: string }) {
  const address = `${location.origin}/v1/leaderboards/${encodeURIComponent(board)}/scores`;
  return (
    <pre className={styles.command}>
      <code>
        {`curl -X POST '${address}' \\
  -H "X-API-Key: $LAUREL_API_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '{"member":"ada","score":10}'`}
      </code>
    </pre>
  );
}
