import styles from './Wreath.module.css';

/** Two branches of laurel, in the colour of the text. */
export function Wreath({ className = '' }: { className?: string | undefined }) {
  return <span className={`${styles.wreath} ${className}`} aria-hidden="true" />;
}
